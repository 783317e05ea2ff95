from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import Forbidden, Overloaded, Refusal
from helixflow.inference.desk import DeskCall
from helixflow.signals import Metric
from helixflow.telemetry.content.ports import Fate, Sealed
from helixflow.telemetry.content.sealing import Content, Text, entry_key, unseal
from helixflow.testing.content import (
    ORGANIZATION,
    PROJECT,
    ContentParts,
    MemoryContentStore,
    some_call,
    some_keeper,
)

SECRET = b"the word that nobody may see"


def keep(parts: ContentParts, request: str = "req_1", *pieces: bytes, body: bytes = b"{}") -> None:
    draft = parts.keeper.begin(some_keeper(), some_call(request, body), "echo-1")
    assert draft is not None
    for piece in pieces:
        draft.add(piece)
    draft.end("ok")


def fates(parts: ContentParts) -> dict[str, int]:
    return {
        dict(labels)["outcome"]: count
        for (metric, labels), count in parts.signals.counts.items()
        if metric is Metric.CONTENTS
    }


def held(parts: ContentParts) -> MemoryContentStore:
    assert isinstance(parts.store, MemoryContentStore)
    return parts.store


async def opened(parts: ContentParts, kept: Sealed) -> Content:
    key = await parts.keys.opener(kept.organization, kept.project, kept.period, kept.session)
    assert key is not None
    place = (kept.organization, kept.project, kept.request)
    return unseal(kept.sealed, entry_key(key, kept.request), *place)


async def until(parts: ContentParts, truth: Callable[[], bool]) -> None:
    """Let the keeper run until something is so."""
    task = asyncio.ensure_future(parts.keeper.run())
    async with asyncio.timeout(5.0):
        while not truth():
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait({task})


async def test_what_was_gathered_is_handed_over_sealed() -> None:
    parts = ContentParts()
    keep(parts, "req_1", b"an", SECRET, body=SECRET)
    assert await parts.keeper.step()
    (kept,) = held(parts).rows.values()
    content = await opened(parts, kept)
    assert content == Content(Text(SECRET, 28), Text(b"an" + SECRET, 30))
    assert (kept.at, kept.days, kept.outcome) == (parts.clock.now(), 7, "ok")
    assert SECRET not in repr(parts.batches).encode()
    assert fates(parts) == {"kept": 1}
    assert parts.keeper.held == 0


@given(st.lists(st.text(max_size=4), max_size=6), st.text(max_size=9), st.integers(1, 12))
async def test_what_is_too_long_is_cut_and_says_so(
    pieces: list[str], body: str, limit: int
) -> None:
    parts = ContentParts(request_bytes_max=limit, answer_bytes_max=limit)
    keep(parts, "req_1", *(piece.encode() for piece in pieces), body=body.encode())
    assert await parts.keeper.step()
    (kept,) = held(parts).rows.values()
    content, whole = await opened(parts, kept), "".join(pieces).encode()
    for text, meant in ((content.request, body.encode()), (content.answer, whole)):
        assert meant.startswith(text.data)
        assert text.data.decode().encode() == text.data
        assert len(text.data) <= limit
        assert text.size == len(meant)
        assert text.truncated == (len(meant) > limit)
    assert kept.truncated == (content.request.truncated or content.answer.truncated)
    assert (kept.request_bytes, kept.answer_bytes) == (len(body.encode()), len(whole))


async def test_what_there_is_no_room_for_is_dropped_and_counted() -> None:
    parts = ContentParts(held_bytes_max=4096)
    big = parts.keeper.begin(some_keeper(), some_call("req_1"), "echo-1")
    assert big is not None
    big.add(b"x" * 2000)
    assert parts.keeper.begin(some_keeper(), some_call("req_2", b"y" * 3000), "echo-1") is None
    big.add(b"x" * 2000)
    big.add(b"x")
    big.end("ok")
    assert fates(parts) == {"held_full": 2}
    assert parts.keeper.held == 0
    keep(parts, "req_3", b"small")
    assert await parts.keeper.step()
    assert [kept.request for kept in held(parts).rows.values()] == ["req_3"]


async def test_content_waits_for_a_vault_that_is_away_and_is_kept_once() -> None:
    parts = ContentParts()
    keep(parts, "req_1", b"one")
    parts.away = True
    assert not await parts.keeper.step()
    parts.away, parts.deaf = False, True
    assert not await parts.keeper.step()
    assert parts.keeper.held > 0
    parts.deaf = False
    assert await parts.keeper.step()
    assert len(parts.batches) == 2
    assert len(held(parts).rows) == 1
    assert fates(parts) == {"kept": 1}


async def test_a_database_that_is_away_makes_content_wait() -> None:
    parts = ContentParts()
    keep(parts, "req_1", b"one")
    held(parts).away = Overloaded(Refusal.OVERLOADED, "Later.", retry_after_s=1.0)
    assert not await parts.keeper.step()
    held(parts).away = None
    assert await parts.keeper.step()
    assert fates(parts) == {"kept": 1}


async def test_a_fault_drops_the_batch_and_says_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = ContentParts()
    keep(parts, "req_1", SECRET, body=SECRET)
    held(parts).away = ValueError(SECRET.decode())
    with caplog.at_level(logging.DEBUG):
        assert await parts.keeper.step()
    assert "ValueError" in caplog.text
    assert SECRET.decode() not in caplog.text
    assert fates(parts) == {"refused": 1}


async def test_a_session_serves_many_contents_and_ends_in_time() -> None:
    parts = ContentParts(session_s=60.0)
    for number in range(4):
        keep(parts, f"req_{number}", b"text")
        assert await parts.keeper.step()
        if number == 1:
            parts.clock.advance(61.0)
    sessions = [kept.session for kept in held(parts).rows.values()]
    assert sessions[0] == sessions[1] != sessions[2] == sessions[3]


async def test_sessions_are_bounded() -> None:
    parts = ContentParts(sessions_max=1)
    for number, project in enumerate(("one", "two", "one")):
        draft = parts.keeper.begin(some_keeper(project=project), some_call(f"req_{number}"), "m")
        assert draft is not None
        draft.end("ok")
        assert await parts.keeper.step()
    kept = held(parts).rows
    assert kept[ORGANIZATION, "one", "req_0"].session != kept[ORGANIZATION, "one", "req_2"].session


async def test_what_belongs_to_an_erased_period_is_not_kept() -> None:
    parts = ContentParts()
    keep(parts, "req_1", b"one")
    assert await parts.keeper.step()
    keep(parts, "req_2", b"two")
    await parts.vault.erase(ORGANIZATION, PROJECT, 1)
    assert await parts.keeper.step()  # with the session that it has
    keep(parts, "req_3", b"three")
    assert await parts.keeper.step()  # and when it asks for another one
    assert held(parts).rows == {}
    assert fates(parts) == {"kept": 1, "erased": 2}


async def test_a_caller_who_is_refused_a_session_stops_nobody_else() -> None:
    parts = ContentParts()
    may_not = replace(some_keeper(project="proj_2"), permissions=frozenset())
    with pytest.raises(Forbidden):
        await parts.call(DeskCall("content.session", may_not))
    draft = parts.keeper.begin(may_not, some_call("req_1"), "echo-1")
    assert draft is not None
    draft.end("ok")
    keep(parts, "req_2", b"two")
    assert await parts.keeper.step()
    assert [kept.request for kept in held(parts).rows.values()] == ["req_2"]
    assert fates(parts) == {"kept": 1, "refused": 1}


async def test_batches_are_bounded_in_bytes() -> None:
    parts = ContentParts(batch_bytes=4096)
    for number in range(5):
        keep(parts, f"req_{number}", b"x" * 1000)
    assert await parts.keeper.step()
    assert len(held(parts).rows) == 2
    while parts.keeper.held:
        assert await parts.keeper.step()
    assert fates(parts) == {"kept": 5}


async def test_it_runs_by_itself_and_comes_back_to_a_vault_that_was_away() -> None:
    parts = ContentParts(batch_s=0.001, pause_s_max=0.001)
    parts.away = True
    keep(parts, "req_1", b"one")
    await until(parts, lambda: parts.keeper._away)
    parts.away = False
    await until(parts, lambda: fates(parts) == {"kept": 1})


async def test_the_end_hands_over_what_it_can_and_counts_the_rest() -> None:
    parts = ContentParts(batch_bytes=1024)
    keep(parts, "req_1", b"one")
    keep(parts, "req_2", b"two")
    await parts.keeper.close()
    assert fates(parts) == {"kept": 2}
    keep(parts, "req_3", b"three")
    parts.away = True
    await parts.keeper.close()
    assert fates(parts) == {"kept": 2, Fate.LEFT_OVER: 1}
    assert parts.keeper.held == 0


async def test_a_second_end_changes_nothing() -> None:
    parts = ContentParts()
    draft = parts.keeper.begin(some_keeper(), some_call(), "echo-1")
    assert draft is not None
    draft.end("ok")
    draft.add(b"late")
    draft.end("canceled")
    assert await parts.keeper.step()
    assert [kept.outcome for kept in held(parts).rows.values()] == ["ok"]
    assert fates(parts) == {"kept": 1}
