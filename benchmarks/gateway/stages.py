"""Where the time of one request goes: the platform's own stage times beside the client's clock.

The Ingress measures each stage of a request's way and says their sums on `/metrics`; what the
client waited beyond them is everything outside the pipeline: HAProxy, both sockets, Serve's shell
and HTTP parsing, and the client itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.identity.session import Session
from benchmarks.load import crew
from benchmarks.load.crew import LoadFailed
from benchmarks.load.plan import Closed, Expected, Plan
from benchmarks.scenarios.bodies import CHAT, chat_body
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.helixflow_stack import ADMIN_KEY
from benchmarks.systems.ports import Running
from benchmarks.systems.ready_answers import PROMPT
from helixflow.signals import Metric
from helixflow.telemetry.scrape import Scrape, increase, sums

_TOKENS = 16
_SHIPPED_S = 3.0
"""Counts travel in batches; after this long all of a load's are on the page."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Implements `Probe`: a closed loop of `connections`, for `seconds`."""

    name: str
    title: str
    connections: int
    seconds: float

    def prepare(self, running: Running) -> None:
        """Requests of the same kind, before anything is counted."""
        crew.drive(self._plan(running, 2.0))

    def measure(self, running: Running) -> Probed:
        """Means in µs: each stage, the client's whole wait, and what lies outside the stages."""
        before = asyncio.run(_page(running))
        outcome = crew.drive(self._plan(running, self.seconds))
        after = asyncio.run(_page(running))
        if not outcome.answered:
            raise LoadFailed("nothing was answered")
        whole_us = sum(outcome.latency_ms) / outcome.answered * 1e3
        return Probed(figures(before, after, whole_us), outcome)

    def _plan(self, running: Running, seconds: float) -> Plan:
        body = chat_body("echo-1", PROMPT, _TOKENS, stream=False)
        pace = Closed(self.connections, duration_s=seconds)
        return Plan(running.target(CHAT), [body], Expected(_TOKENS), pace)


async def _page(running: Running) -> Scrape:
    await asyncio.sleep(_SHIPPED_S)
    session = await Session.connect(running.host, running.port, running.private[ADMIN_KEY])
    try:
        status, page = await session.ask("GET", "/metrics")
    finally:
        await session.close()
    if status != 200:
        raise LoadFailed(f"/metrics was answered with {status}")
    return Scrape.of(page.decode(), time.monotonic())


def figures(before: Scrape, after: Scrape, whole_us: float) -> dict[str, float]:
    """Mean µs per request and stage between two pages; a stage that nothing passed is left out.

    Raises `LoadFailed` where the pages tell of no stage at all.
    """
    seconds, counts = (
        sums(increase(before, after, f"{Metric.STAGE_SECONDS}_{part}"), "stage")
        for part in ("sum", "count")
    )
    stages = {
        f"{stage}_us": seconds[stage,] / count * 1e6 for (stage,), count in counts.items() if count
    }
    if not stages:
        raise LoadFailed("/metrics tells of no stage")
    return {"whole_us": whole_us, **stages, "outside_us": whole_us - sum(stages.values())}
