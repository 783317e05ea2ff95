"""Usage in a real database of each kind: rows, sums and marks stay together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.inference.facts import Admitted, Generated
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind
from helixflow.storage.database import Database
from helixflow.storage.telemetry_tables import usage_requests, usage_rollups
from helixflow.storage.usage import SqlUsage
from helixflow.storage.usage_rows import row_of as stored
from helixflow.telemetry.rollups import DAY_S, HOUR_S, Dimensions, Slot, Sums, changes
from helixflow.telemetry.usage import Said, UsageRow, merge, row_of
from helixflow.telemetry.usage_ports import Kept
from helixflow.testing.events import SomeRequest

NOW = 1_700_000_000.0


@pytest.fixture
def usage(telemetry: Database) -> SqlUsage:
    return SqlUsage(telemetry)


def rows_of(events: Sequence[Event]) -> list[UsageRow]:
    return [row for event in events if (row := row_of(event)) is not None]


async def rows(database: Database) -> dict[str, UsageRow]:
    async def look(connection: AsyncConnection) -> dict[str, UsageRow]:
        records = await connection.execute(select(usage_requests))
        return {record.id: stored(record) for record in records}

    return await database.read(look)


async def sums(database: Database) -> dict[Slot, Sums]:
    async def look(connection: AsyncConnection) -> dict[Slot, Sums]:
        return {
            _slot(record): _sums(record)
            for record in await connection.execute(select(usage_rollups))
        }

    return await database.read(look)


def _slot(record: Any) -> Slot:
    of = Dimensions(
        record.organization_id,
        record.project_id,
        record.key_id,
        record.subject_id,
        record.model,
        record.region,
        record.operation,
        record.service_class,
    )
    return Slot(record.width_s, record.start_at, of)


def _sums(record: Any) -> Sums:
    cost = replace(
        Sums().cost,
        input=record.input_nano_usd,
        cached_input=record.cached_input_nano_usd,
        output=record.output_nano_usd,
    )
    return Sums(
        record.requests, record.input_tokens, record.cached_tokens, record.output_tokens, cost
    )


async def take(usage: SqlUsage, source: str, last: int, *events: Event) -> None:
    await usage.take(source, last, rows_of(events), NOW)


async def check(database: Database) -> dict[str, UsageRow]:
    """The rows, whose sums are those that the database holds."""
    held = await rows(database)
    assert await sums(database) == changes([(None, row) for row in held.values()])
    return held


async def test_rows_come_back_as_they_were_written(usage: SqlUsage, telemetry: Database) -> None:
    request = SomeRequest(admitted=Admitted("org_1", "proj_1", "key_1", "user_1", "m", "eu"))
    await take(usage, "a", 3, *request.events)
    (row,) = (await check(telemetry)).values()
    assert row == merge(merge(*rows_of(request.events[:2])), rows_of(request.events)[2])


async def test_each_event_may_come_alone_in_any_order_and_again(
    usage: SqlUsage, telemetry: Database
) -> None:
    requests = [SomeRequest(at=NOW + 1000.0 * number) for number in range(12)]
    events = [event for request in requests for event in request.events] * 2
    random.Random(7).shuffle(events)
    for number, event in enumerate(events, 1):
        await take(usage, "a", number, event)
    held = await check(telemetry)
    assert {row.id: row.usage for row in held.values()} == {
        request.id: request.usage for request in requests
    }
    assert {row.outcome for row in held.values()} == {"ok"}
    assert await usage.high_water("a") == len(events)


async def test_a_batch_that_comes_twice_is_taken_once(usage: SqlUsage, telemetry: Database) -> None:
    first, second = SomeRequest(), SomeRequest()
    await take(usage, "a", 3, *first.events)
    await take(
        usage, "a", 3, *second.events
    )  # another batch by the same number is not the next one
    assert list(await check(telemetry)) == [first.id]
    await take(usage, "b", 3, *second.events)
    assert len(await check(telemetry)) == 2
    assert (await usage.high_water("a"), await usage.high_water("c")) == (3, 0)


async def test_a_batch_without_requests_moves_the_mark_alone(
    usage: SqlUsage, telemetry: Database
) -> None:
    await take(usage, "a", 9)
    assert await usage.high_water("a") == 9
    assert await check(telemetry) == {}


async def test_what_cannot_be_committed_leaves_nothing(
    usage: SqlUsage, telemetry: Database
) -> None:
    good, bad = SomeRequest(), SomeRequest()
    impossible = Said(NOW, Generated("m", "ok", Usage(1, 1, 99)))  # more cached than read
    broken = UsageRow(bad.id, NOW, generated=impossible)
    with pytest.raises(IntegrityError):
        await usage.take("a", 2, [*rows_of(good.events), broken], NOW)
    assert await check(telemetry) == {}
    assert await usage.high_water("a") == 0


async def test_a_request_that_falls_back_moves_between_sums_and_leaves_none_empty(
    usage: SqlUsage, telemetry: Database
) -> None:
    request = SomeRequest()
    await take(usage, "a", 1, request.admission)
    fallback = Event(
        EventKind.REQUEST_ADMITTED,
        request.at + 1,
        request.id,
        replace(request.admitted, model="small").facts(),
    )
    await take(usage, "a", 2, fallback)
    await take(usage, "b", 1, request.generation)
    await check(telemetry)
    assert {slot.of.model for slot in await sums(telemetry)} == {"small"}


async def test_sources_that_write_at_once_agree(usage: SqlUsage, telemetry: Database) -> None:
    """An Ingress and a Model speak of the same requests at the same time."""
    requests = [SomeRequest() for _ in range(20)]
    ingress = [event for each in requests for event in (each.admission, each.end)]
    await asyncio.gather(
        take(usage, "ingress", 40, *ingress),
        *(
            take(usage, f"model-{number}", 1, each.generation)
            for number, each in enumerate(requests)
        ),
    )
    held = await check(telemetry)
    assert len(held) == 20
    assert all(row.admitted and row.ended and row.generated for row in held.values())


async def test_who_is_not_ended_in_time_is_lost_and_may_come_back(
    usage: SqlUsage, telemetry: Database
) -> None:
    old, young = SomeRequest(at=100.0), SomeRequest(at=900.0)
    await take(usage, "a", 2, old.admission, young.admission)
    await take(usage, "b", 1, old.generation)
    assert await usage.give_up(500.0) == 1
    assert await usage.give_up(500.0) == 0
    held = await check(telemetry)
    assert (held[old.id].outcome, held[old.id].usage) == ("lost", old.usage)
    assert held[young.id].outcome == "running"
    await take(usage, "a", 3, old.end)
    assert (await check(telemetry))[old.id].outcome == "ok"


async def test_what_is_old_is_forgotten_and_sums_outlive_rows(
    usage: SqlUsage, telemetry: Database
) -> None:
    old, young = SomeRequest(at=10.0), SomeRequest(at=5 * DAY_S + 10.0)
    await take(usage, "a", 6, *old.events, *young.events)
    before = await sums(telemetry)
    assert await usage.forget(Kept(DAY_S, 0.0, 0.0)) == 1
    assert set(await rows(telemetry)) == {young.id}
    assert await sums(telemetry) == before
    assert await usage.forget(Kept(0.0, HOUR_S, 0.0)) == 1
    assert await usage.forget(Kept(0.0, 0.0, DAY_S)) == 1
    assert {slot.start_at for slot in await sums(telemetry)} == {5 * DAY_S}
    assert await usage.forget(Kept(NOW + 1, NOW + 1, NOW + 1)) == 4  # with the mark
    assert await usage.high_water("a") == 0
