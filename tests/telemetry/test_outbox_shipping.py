from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.identity.events import Event as AdminEvent
from helixflow.identity.events import EventName
from helixflow.ids import OrganizationId, ProjectId
from helixflow.signals import EventKind
from helixflow.storage.outbox import Outgoing
from helixflow.telemetry.outbox_shipping import OutboxShipping, administration
from helixflow.testing.signals import RecordingSignals


def change(number: int) -> AdminEvent:
    return AdminEvent(
        EventName.KEY_CREATE,
        OrganizationId("org_a"),
        ProjectId("proj_a") if number % 2 else None,
        "key_admin",
        f"key_{number}",
        1000.0 + number,
        {"name": "ci"},
        f"evt_{number}",
    )


class Rows:
    """An outbox in memory."""

    def __init__(self, count: int) -> None:
        self.rows = [Outgoing(number, change(number)) for number in range(1, count + 1)]
        self.away = False

    async def head(self, limit: int) -> Sequence[Outgoing]:
        if self.away:
            raise Unavailable(Refusal.AUTH_UNAVAILABLE, "away")
        return self.rows[:limit]

    async def forget(self, up_to: int) -> None:
        if self.away:
            raise Unavailable(Refusal.AUTH_UNAVAILABLE, "away")
        self.rows = [row for row in self.rows if row.sequence > up_to]


class Journaled(RecordingSignals):
    """A recorder whose journal is a list."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.durable = 0

    @property
    def last(self) -> int:
        return len(self.events)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]


def shipping(rows: Rows, signals: Journaled, folder: Path) -> OutboxShipping:
    return OutboxShipping(rows, signals, folder, 0.001)


async def test_rows_are_forgotten_once_every_sink_has_them(tmp_path: Path) -> None:
    rows, signals = Rows(3), Journaled()
    ships = shipping(rows, signals, tmp_path)
    await ships.step()
    signals.durable = 2
    await ships.step()
    assert len(rows.rows) == 3
    assert signals.ids == ["evt_1", "evt_2", "evt_3"]
    rows.rows.append(Outgoing(4, change(4)))
    signals.durable = 3
    await ships.step()
    assert [row.sequence for row in rows.rows] == [4]
    assert signals.ids == ["evt_1", "evt_2", "evt_3", "evt_4"]


async def test_a_process_that_died_in_between_is_followed_by_one_that_ships_again(
    tmp_path: Path,
) -> None:
    rows, signals = Rows(300), Journaled()
    await shipping(rows, Journaled(), tmp_path / "dead").step()
    ships = shipping(rows, signals, tmp_path)
    for _ in range(3):
        await ships.step()
        signals.durable = signals.last
    assert rows.rows == []
    assert signals.ids == [f"evt_{number}" for number in range(1, 301)]


async def test_of_two_processes_on_a_node_one_ships(tmp_path: Path) -> None:
    rows, first, second = Rows(1), Journaled(), Journaled()
    holder, other = shipping(rows, first, tmp_path), shipping(rows, second, tmp_path)
    work = asyncio.create_task(holder.run())
    while not first.events:
        await asyncio.sleep(0.001)
    await other.step()
    assert second.events == []
    holder.stop()
    await work
    await other.step()
    assert second.ids == ["evt_1"]


async def test_while_the_journal_is_full_rows_stay(tmp_path: Path) -> None:
    rows, signals = Rows(2), Journaled()
    signals.full = True
    ships = shipping(rows, signals, tmp_path)
    await ships.step()
    assert signals.events == []
    signals.full = False
    await ships.step()
    signals.durable = 2
    await ships.step()
    assert rows.rows == []


async def test_what_did_not_fit_into_the_journal_is_journaled_again(tmp_path: Path) -> None:
    class Filling(Journaled):
        def record(self, event):  # type: ignore[no-untyped-def]
            super().record(event)
            self.full = len(self.events) == 1

    rows, signals = Rows(1), Filling()
    ships = shipping(rows, signals, tmp_path)
    await ships.step()
    signals.durable, signals.full = 1, False
    await ships.step()
    assert len(rows.rows) == 1
    assert signals.ids == ["evt_1", "evt_1"]


async def test_trouble_is_outlasted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows, signals = Rows(2), Journaled()
    rows.away = True
    ships = shipping(rows, signals, tmp_path)
    work = asyncio.create_task(ships.run())
    while not caplog.records:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.005)
    assert len(caplog.records) == 1
    rows.rows.append(None)  # type: ignore[arg-type]
    rows.away = False
    while len(caplog.records) < 2:
        await asyncio.sleep(0.001)
    rows.rows.pop()
    signals.durable = 1_000_000
    async with asyncio.timeout(5):
        while rows.rows:
            await asyncio.sleep(0.001)
    ships.stop()
    await work


def test_a_change_keeps_its_id_and_its_details_are_facts() -> None:
    event = administration(change(1))
    assert (event.kind, event.id, event.at) == (EventKind.ADMINISTRATION, "evt_1", 1001.0)
    assert event.facts == {
        "name": "key:create",
        "organization": "org_a",
        "project": "proj_a",
        "actor": "key_admin",
        "target": "key_1",
        "detail.name": "ci",
    }
