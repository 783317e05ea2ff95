from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from helixflow.crypto.master_key import MasterKey
from helixflow.errors import Conflict, Unavailable
from helixflow.signals import Event, EventKind, Metric
from helixflow.telemetry.content.keys import ContentKeys
from helixflow.telemetry.content.ports import VERSION, Fate, Sealed
from helixflow.telemetry.content.sink import ContentSink
from helixflow.telemetry.content.vault import Vault
from helixflow.telemetry.marks_file import MarksFile
from helixflow.telemetry.station import own_tally
from helixflow.testing.audit import admin_event
from helixflow.testing.content import (
    DAY_S,
    ORGANIZATION,
    PROJECT,
    ContentParts,
    MemoryContentKeys,
    MemoryContentStore,
    some_sealed,
)

PLACE = (ORGANIZATION, PROJECT)


async def kept(parts: ContentParts, *contents: Sealed) -> list[str]:
    """What becomes of contents whose period has a key."""
    await parts.keys.session(*PLACE, 1)
    _, fates = await parts.vault.keep((VERSION, tuple(one.to_wire() for one in contents)))
    return list(fates)


def held(parts: ContentParts) -> list[str]:
    assert isinstance(parts.store, MemoryContentStore)
    return [row.request for row in parts.store.rows.values()]


async def test_a_full_store_takes_nothing_more_until_something_goes() -> None:
    parts = ContentParts(stored_bytes_max=1024)
    big = some_sealed("req_1", sealed=b"x" * 1000)
    assert await kept(parts, big, some_sealed("req_2", sealed=b"x" * 30)) == ["kept", "stored_full"]
    assert await kept(parts, some_sealed("req_3", sealed=b"x" * 20)) == ["kept"]
    assert await parts.vault.delete(*PLACE, "req_1")
    assert await kept(parts, some_sealed("req_4", sealed=b"x" * 30)) == ["kept"]
    assert held(parts) == ["req_3", "req_4"]


async def test_what_was_deleted_does_not_come_back_with_a_batch_that_is_sent_again() -> None:
    parts = ContentParts()
    content = some_sealed("req_1")
    assert await kept(parts, content) == ["kept"]
    assert await parts.vault.delete(*PLACE, "req_1")
    assert not await parts.vault.delete(*PLACE, "req_1")
    assert await kept(parts, content, some_sealed("req_2")) == ["erased", "kept"]
    assert held(parts) == ["req_2"]


async def test_a_content_without_a_key_is_not_taken() -> None:
    parts = ContentParts()
    assert await kept(parts, some_sealed(period=2)) == [Fate.ERASED]
    assert held(parts) == []


async def test_words_are_such_as_databases_hold() -> None:
    parts = ContentParts()
    await kept(parts, some_sealed(model="m" * 999, outcome="o\0k"))
    row = await parts.store.get(*PLACE, "req_1")
    assert row is not None
    assert (len(row.model), row.outcome) == (128, "ok")


async def test_too_many_batches_at_once_are_sent_away() -> None:
    parts = ContentParts()
    async with parts.vault._writing:
        waiting = [asyncio.ensure_future(parts.vault.keep((VERSION, ()))) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await parts.vault.keep((VERSION, ()))
    await asyncio.gather(*waiting)
    assert await kept(parts, some_sealed()) == ["kept"]


async def test_the_sweep_takes_what_is_over_in_parts() -> None:
    parts = ContentParts(rows_max=2, days_max=30)
    now = parts.clock.now()
    contents = [some_sealed(f"req_{n}", at=now, days=n) for n in (1, 1, 1, 2, 99)]
    contents = [replace(one, request=f"req_{n}") for n, one in enumerate(contents)]
    await kept(parts, *contents)
    parts.clock.advance(DAY_S)
    assert await parts.vault.sweep() == 3
    assert held(parts) == ["req_3", "req_4"]
    parts.clock.advance(30 * DAY_S)
    assert await parts.vault.sweep() == 2  # one of them for the platform's own bound


async def test_the_sweep_tells_how_much_is_stored() -> None:
    parts, tally = ContentParts(), own_tally()
    vault = Vault(parts.store, parts.keys, parts.settings, parts.clock, tally)
    await kept(parts, some_sealed(at=parts.clock.now(), sealed=b"x" * 77))
    await vault.sweep()
    assert (Metric.CONTENT_STORED_BYTES.value, (), 77.0) in tally.take().gauges


async def test_it_sweeps_by_itself_and_deletes_keys_that_came_back() -> None:
    parts = ContentParts()
    await kept(parts, some_sealed(at=0.0))
    assert isinstance(parts.rows, MemoryContentKeys)
    backup = dict(parts.rows.rows)
    await parts.vault.erase(*PLACE, 1)
    assert parts.rows.rows == {}
    parts.rows.rows |= backup
    fresh = ContentKeys(parts.rows, parts.store, MasterKey(b"k" * 32), parts.clock)
    assert await fresh.opener(*PLACE, 1, "s") is None
    duty = asyncio.ensure_future(parts.vault.run())
    async with asyncio.timeout(5.0):
        while parts.rows.rows or held(parts):
            await asyncio.sleep(0.001)
    duty.cancel()
    await asyncio.wait({duty})


async def test_each_session_has_a_key_of_its_own_that_opens_until_the_erasure() -> None:
    parts = ContentParts()
    one, two = [await parts.keys.session(*PLACE, 1) for _ in range(2)]
    assert one.key != two.key
    assert one.key not in repr(one).encode()
    assert await parts.keys.opener(*PLACE, 1, one.id) == one.key
    assert await parts.keys.opener(ORGANIZATION, "proj_2", 1, one.id) is None
    again = ContentKeys(parts.rows, parts.store, MasterKey(b"k" * 32), parts.clock)
    assert await again.opener(*PLACE, 1, two.id) == two.key
    later = await parts.keys.session(*PLACE, 2)
    await parts.keys.erase(*PLACE, 1)
    assert await parts.keys.opener(*PLACE, 1, one.id) is None
    assert await parts.keys.opener(*PLACE, 2, later.id) == later.key
    with pytest.raises(Conflict):
        await parts.keys.session(*PLACE, 1)


async def test_a_stored_key_is_nothing_without_the_master_key() -> None:
    parts = ContentParts()
    session = await parts.keys.session(*PLACE, 1)
    assert isinstance(parts.rows, MemoryContentKeys)
    (wrapped,) = parts.rows.rows.values()
    assert session.key not in wrapped
    assert PROJECT.encode() not in repr(parts.rows.rows).encode()
    stranger = ContentKeys(parts.rows, parts.store, MasterKey(b"x" * 32), parts.clock)
    assert await stranger.opener(*PLACE, 1, session.id) is None


async def write(parts: ContentParts, marks: MarksFile, *events: Event) -> ContentSink:
    sink = ContentSink(parts.vault, marks)
    last = await sink.high_water("auth-1")
    await sink.write("auth-1", last + len(events), events)
    return sink


async def test_changes_of_administration_are_followed(tmp_path: Path) -> None:
    parts = ContentParts()
    marks = MarksFile(tmp_path / "marks.json")
    await kept(parts, some_sealed("req_1"), some_sealed("req_2", project="proj_2"))
    shorter = admin_event(1, "project:update", after={"content_days": "3"})
    off = admin_event(2, "project:update", before={"content_days": "3"})
    await write(parts, marks, shorter, off)
    row = await parts.store.get(*PLACE, "req_1")
    assert row is not None
    assert row.days == 3
    erased = admin_event(3, "content:erase", **{"detail.erased_period": "1"})
    sink = await write(parts, marks, erased, erased)
    assert "req_1" not in held(parts)
    assert await sink.high_water("auth-1") == 4
    assert await ContentSink(parts.vault, marks).high_water("auth-1") == 4


async def test_events_that_say_nothing_about_content_change_nothing(tmp_path: Path) -> None:
    parts = ContentParts()
    marks = MarksFile(tmp_path / "marks.json")
    await kept(parts, some_sealed("req_1"))
    await write(
        parts,
        marks,
        admin_event(1, "content:erase", **{"detail.erased_period": "all"}),
        admin_event(2, "content:erase", project=None, **{"detail.erased_period": "1"}),
        admin_event(3, "key:update", after={"content_days": "1"}),
        admin_event(4, "project:update", after={"content_days": "0"}),
        Event(EventKind.REQUEST_ENDED, 1.0, "req_1", {"name": "content:erase"}),
    )
    assert held(parts) == ["req_1"]
