"""One contest: a tenant floods a replica, another one does so a little later, a third one trickles.

The same requests go to the same replica with and without its fair queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct

from helixflow.clock import Clock
from helixflow.engine.ports import Engine
from helixflow.inference.model_spec import FairShares, ModelSpec
from helixflow.inference.request import Operation
from helixflow.testing.contention import Contention

FIRST, SECOND, TRICKLE = "first", "second", "trickle"
SLOTS = 8


@dataclass(frozen=True, slots=True)
class Contest:
    """How much everybody asks.

    Attributes:
        first, second: requests that these tenants send at once.
        head_start_s: by how much the second one comes later.
        trickle: requests of the third tenant, each when the one before it is answered.
        prompt, prompt_tokens: what they say, and how long that is to the model.
        tokens_max: the longest answer; they are spread from half of it on.
    """

    first: int
    second: int
    head_start_s: float
    trickle: int
    prompt: str
    prompt_tokens: int
    tokens_max: int

    @property
    def bound_tokens(self) -> float:
        """`2 max(w_p L_input, w_q M)` of the paper, `M` being a batch of the longest requests."""
        rules = FairShares()
        batch = SLOTS * (self.prompt_tokens + self.tokens_max)
        return 2 * max(rules.input_weight * self.prompt_tokens, rules.output_weight * batch)

    def body(self, number: int) -> dict[str, Any]:
        """A request; their lengths differ, so that slots do not free all at once."""
        half = self.tokens_max // 2
        tokens = half + number % (self.tokens_max - half + 1)
        return {"prompt": self.prompt, "max_tokens": tokens, "ignore_eos": True}


class Fared(Struct):
    """How they fared. `curves`: seconds, and each flooding tenant's service in weighted tokens."""

    figures: dict[str, float]
    waits_s: list[float]
    curves: dict[str, list[float]]


Wait = Callable[[float], Awaitable[object]]


async def hold(
    contest: Contest, spec: ModelSpec, engine: Engine, clock: Clock, sleep: Wait, *, fair: bool
) -> Fared:
    """Hold it on a started engine that nobody else uses."""
    spec = replace(spec, sequences_max=SLOTS, queue_max=1024, fair_queue=FairShares(enabled=fair))
    contention = Contention(spec, engine, clock)
    how: dict[str, Any] = {"operation": Operation.COMPLETION, "stream": True}
    for number in range(contest.first):
        contention.ask(FIRST, contest.body(number), **how)
    await sleep(contest.head_start_s)
    for number in range(contest.second):
        contention.ask(SECOND, contest.body(number), **how)
    for number in range(contest.trickle):
        await contention.ask(TRICKLE, contest.body(number), **how)
    await contention.over()
    return _fared(contention, contest)


def _fared(contention: Contention, contest: Contest) -> Fared:
    waits = contention.waits_s(TRICKLE)
    figures = {
        "trickle_wait_max_ms": max(waits) * 1e3,
        "wait_in_sequences": max(waits) / max(contention.service_s),
        "drift_tokens": contention.gap_tokens,
        "drift_of_bound": contention.gap_tokens / contest.bound_tokens,
    }
    curves: dict[str, list[float]] = {"seconds": [], FIRST: [], SECOND: []}
    for seconds, services in contention.curve:
        curves["seconds"].append(seconds)
        for tenant in (FIRST, SECOND):
            curves[tenant].append(services.get(tenant, 0.0))
    return Fared(figures, [entry.waited_s for entry in contention.entries], curves)


async def stepped(contest: Awaitable[Fared], step: Callable[[], Awaitable[bool]]) -> Fared:
    """Hold a contest in time that passes step by step (`Timeline.step`)."""
    held = asyncio.ensure_future(contest)
    while not held.done():
        await step()
    return held.result()
