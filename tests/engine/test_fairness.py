"""Fair shares end to end, with the echo engine, to the token."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.echo import EchoEngine
from helixflow.errors import Refusal
from helixflow.inference.model_spec import EchoPace, EngineKind, FairShares, ModelSpec
from helixflow.inference.quota import ServiceClass
from helixflow.testing.contention import Contention
from helixflow.testing.timeline import Timeline, settle

LENGTH, PROMPT = 8, 4
UNFAIR = FairShares(enabled=False)


def stage(
    slots: int = 4, rules: FairShares | None = None, **spec: Any
) -> tuple[Contention, Timeline]:
    """One token of every running sequence in each second."""
    made = ModelSpec(
        "echo-1",
        EngineKind.ECHO,
        sequences_max=slots,
        echo=EchoPace(tokens_per_s=1.0),
        fair_queue=rules or FairShares(),
        **spec,
    )
    timeline = Timeline()
    engine = EchoEngine(made, clock=timeline, sleep=timeline.sleep)
    return Contention(made, engine, timeline), timeline


def body(tokens: int = LENGTH, words: int = PROMPT, **more: Any) -> dict[str, Any]:
    content = " ".join(["word"] * words)
    return {"messages": [{"role": "user", "content": content}], "max_tokens": tokens, **more}


async def to_its_end(contention: Contention, timeline: Timeline) -> None:
    while await timeline.step():
        contention.note()
    await contention.over()
    assert (contention.replica.load().running, contention.replica.load().waiting) == (0, 0)


async def flood_and_trickle(rules: FairShares) -> Contention:
    contention, timeline = stage(rules=rules)
    contention.flood("flood", body(), 40)
    await settle()
    trickle = asyncio.create_task(contention.trickle("trickle", body(), 5, stream=True))
    await to_its_end(contention, timeline)
    await trickle
    return contention


async def test_a_trickle_beside_a_flood_waits_less_than_one_sequence_takes() -> None:
    fair = await flood_and_trickle(FairShares())
    entries = [entry for entry in fair.entries if entry.tenant == "trickle"]
    assert len(entries) == 5
    assert max(fair.waits_s("trickle")) <= max(fair.service_s) == LENGTH
    assert [entry.overtaken for entry in entries] == [0] * 5


async def test_without_fair_shares_it_waits_behind_the_flood() -> None:
    unfair = await flood_and_trickle(UNFAIR)
    first = next(entry for entry in unfair.entries if entry.tenant == "trickle")
    assert (first.overtaken, first.waited_s) == (36, 10 * LENGTH)


async def two_floods(rules: FairShares) -> Contention:
    contention, timeline = stage(rules=rules)
    contention.flood("first", body(), 60)
    await settle()
    contention.flood("second", body(tokens=4, words=8), 60)
    await to_its_end(contention, timeline)
    return contention


BOUND = 2 * 2.0 * 4 * (8 + LENGTH)
"""`2 max(w_p L_input, w_q M)`: four sequences of a prompt and an answer each."""


async def test_the_service_of_two_floods_differs_by_less_than_the_papers_bound() -> None:
    fair = await two_floods(FairShares())
    assert fair.gap_tokens <= BOUND / 2
    assert abs(fair.service("first") - 60 * (4 + 2 * 8)) == 0
    assert abs(fair.service("second") - 60 * (8 + 2 * 4)) == 0


async def test_without_fair_shares_it_differs_by_all_that_the_first_one_asked_for() -> None:
    unfair = await two_floods(UNFAIR)
    assert unfair.gap_tokens > 8 * BOUND / 2


async def test_a_tenant_of_three_times_the_weight_is_served_three_times_as_much() -> None:
    contention, timeline = stage()
    contention.flood("light", body(), 60)
    contention.flood("heavy", body(), 60, weight=3.0)
    for _ in range(12 * LENGTH):
        await timeline.step()
    light, heavy = contention.service("light"), contention.service("heavy")
    assert abs(heavy - 3 * light) <= 3 * BOUND
    assert 2.5 < heavy / light < 3.5
    await to_its_end(contention, timeline)


requests = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=1, max_size=12)


@given(requests, requests)
def test_the_order_is_that_of_the_counters_to_the_token(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    """One slot; each request's tokens and words are its own, and bytes say nothing about words."""
    served = asyncio.run(serve_in_turn({"a": one, "b": other}))
    queues, counters, expected = {"a": [*one], "b": [*other]}, {"a": 0, "b": 0}, []
    while any(queues.values()):
        tenant = min((name for name in queues if queues[name]), key=lambda name: counters[name])
        tokens, words = queues[tenant].pop(0)
        counters[tenant] += 2 * tokens + words
        expected.append(tenant)
    assert served == expected


async def serve_in_turn(asked: dict[str, list[tuple[int, int]]]) -> list[str]:
    contention, timeline = stage(slots=1)
    blocker = contention.ask("z", body(1))
    await settle()
    for tenant, requests in asked.items():
        for number, (tokens, words) in enumerate(requests):
            how = {"stream": number % 2 == 0}
            contention.ask(tenant, body(tokens, words, metadata={"x": "y" * 200}), **how)
    await to_its_end(contention, timeline)
    await blocker
    return [entry.tenant for entry in contention.entries[1:]]


async def test_who_hangs_up_pays_for_what_was_generated() -> None:
    contention, timeline = stage(slots=1)
    hung_up = contention.ask("a", body(100), stream=True)
    await settle()
    contention.ask("a", body(1))
    contention.ask("b", body(5))
    contention.ask("b", body(1))
    for _ in range(4):
        await timeline.step()
    hung_up.cancel()
    await to_its_end(contention, timeline)
    assert contention.service("a") == (4 + 2 * 4) + (4 + 2)
    assert [entry.tenant for entry in contention.entries] == ["a", "b", "a", "b"]


async def test_a_request_with_choices_takes_as_many_slots() -> None:
    contention, timeline = stage(slots=4)
    contention.flood("narrow", body(), 12)
    await settle()
    wide = contention.ask("wide", body(n=3), choices=3)
    await to_its_end(contention, timeline)
    entry = next(entry for entry in contention.entries if entry.tenant == "wide")
    assert (entry.overtaken, entry.waited_s) == (0, LENGTH)
    assert (await wide).usage.completion_tokens == 3 * LENGTH


async def test_batch_requests_pass_when_they_were_overtaken_often_enough() -> None:
    contention, timeline = stage(slots=1, rules=FairShares(overtakes_max=3))
    contention.flood("now", body(2), 12, service_class=ServiceClass.INTERACTIVE)
    contention.flood("later", body(2), 3, service_class=ServiceClass.BATCH)
    await to_its_end(contention, timeline)
    order = "".join(entry.tenant[0] for entry in contention.entries)
    assert order == "nnnnlnnnlnnnlnn"


async def test_critical_requests_find_a_place_in_a_replica_that_is_full() -> None:
    rules = FairShares(tenant_share=1.0, reserved_share=0.25)
    contention, timeline = stage(rules=rules, queue_max=4)
    contention.flood("flood", body(), 10)
    await settle()
    critical = [
        contention.ask("urgent", body(), service_class=ServiceClass.CRITICAL) for _ in range(2)
    ]
    await to_its_end(contention, timeline)
    assert [(await task).refused for task in critical] == [None, None]
    assert contention.waits_s("urgent") == [0.0, LENGTH]


@pytest.mark.parametrize(("share", "reason"), [(0.5, "queue_full"), (1.0, "overloaded")])
async def test_who_is_too_much_is_told_so_at_once(share: float, reason: str) -> None:
    contention, timeline = stage(slots=1, queue_max=4, rules=FairShares(tenant_share=share))
    answers = [contention.ask("a", body()) for _ in range(6)]
    await settle()
    refused = (await answers[-1]).refused
    assert refused is not None
    assert refused.reason is Refusal(reason)
    assert refused.retry_after_s is not None
    assert refused.retry_after_s >= 1.0
    await to_its_end(contention, timeline)


async def test_a_queue_without_places_refuses_and_serves_on() -> None:
    contention, timeline = stage(slots=1, queue_max=0)
    first, second = contention.ask("a", body()), contention.ask("b", body())
    await settle()
    assert (await second).refused is not None
    await to_its_end(contention, timeline)
    assert (await first).refused is None


def test_what_is_measured_is_what_a_spec_weighs() -> None:
    contention, _ = stage(rules=replace(FairShares(), input_weight=3.0))
    assert contention.service("nobody") == 0.0
