"""The way of one source: at least once to the hub, exactly once to the sinks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helixflow.errors import Unavailable
from helixflow.settings import JournalSettings
from helixflow.signals import Metric
from helixflow.telemetry.deltas import decode
from helixflow.telemetry.journal import Journal
from helixflow.telemetry.segments import path_of
from helixflow.telemetry.shipment import Shipment
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import encode_event
from helixflow.testing.telemetry import MemorySink, WiredHub

from .hub_bench import SOURCE, Bench, bench, event


class Way:
    """A journal, a tally and their shipment to a bench's hub."""

    def __init__(self, root: Path, at: Bench, batch_events: int = 4) -> None:
        settings = JournalSettings(segment_bytes=64 * 1024, bytes_max=2**20)
        self.journal = Journal(root / "journals", SOURCE, settings)
        self.tally = Tally(100)
        self.hub = WiredHub(at.hub)
        self.at = at
        self.shipment = Shipment(
            SOURCE, "ingress", self.journal, self.tally, self.hub, batch_events
        )

    def record(self, first: int, last: int, size: int = 0) -> None:
        for number in range(first, last + 1):
            assert self.journal.append(encode_event(event(number)) if not size else b"x" * size)

    async def ship_all(self) -> None:
        """Step until every sink has everything."""
        for _ in range(100):
            await self.shipment.step()
            await self.at.settled()
            if not self.shipment.outstanding:
                return
        raise AssertionError("it never ends")


async def test_it_asks_where_to_begin_and_ships_batches_from_there(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.marks[SOURCE] = 2
    async with bench(tmp_path, [sink]) as at:
        way = Way(tmp_path, at)
        way.record(1, 10)
        assert way.shipment.unsent == 10
        assert await way.shipment.step()
        assert way.shipment.unsent == 8
        await way.ship_all()
        assert sink.numbers(SOURCE) == list(range(3, 11))
        assert [batch[3:5] for batch in way.hub.batches] == [(0, 0), (2, 6), (6, 10), (10, 10)]
        assert way.shipment.durable == 10
        assert not way.shipment.news


async def test_a_lost_answer_repeats_nothing_in_the_sinks(tmp_path: Path) -> None:
    sink = MemorySink()
    async with bench(tmp_path, [sink]) as at:
        way = Way(tmp_path, at)
        way.tally.count(Metric.REQUESTS)
        way.record(1, 3)
        await way.shipment.step()
        way.tally.count(Metric.REQUESTS)
        way.hub.deaf = True
        for _ in range(3):
            with pytest.raises(Unavailable):
                await way.shipment.step()
        assert way.shipment.news
        way.hub.deaf = False
        await way.ship_all()
        assert sink.numbers(SOURCE) == [1, 2, 3]
        assert at.counted("helixflow_requests_total") == 2


async def test_counts_under_way_keep_their_number_and_later_ones_follow(tmp_path: Path) -> None:
    async with bench(tmp_path, []) as at:
        way = Way(tmp_path, at)
        way.tally.count(Metric.REQUESTS)
        way.hub.deaf = True
        with pytest.raises(Unavailable):
            await way.shipment.step()
        way.tally.count(Metric.REQUESTS, by=10)
        way.hub.deaf = False
        await way.ship_all()
        told = [(batch[6], decode(batch[7]).counters) for batch in way.hub.batches if batch[6]]
        name = "helixflow_requests_total"
        assert told == [(1, ((name, (), 1),)), (1, ((name, (), 1),)), (2, ((name, (), 10),))]
        assert at.counted(name) == 11


async def test_another_hub_is_told_all_levels(tmp_path: Path) -> None:
    async with bench(tmp_path, []) as at:
        way = Way(tmp_path, at)
        way.tally.gauge(Metric.REQUESTS, 7.0)
        await way.ship_all()
        await way.shipment.step()
        assert way.hub.batches[-1][6] == 0
        way.hub.away = True
        with pytest.raises(Unavailable):
            await way.shipment.step()
        way.hub.away = False
        await way.shipment.step()
        await way.shipment.step(levels=True)
        told = [decode(batch[7]).gauges for batch in way.hub.batches if batch[6]]
        assert told == [(("helixflow_requests_total", (), 7.0),)] * 3


async def test_a_new_hub_says_where_its_sinks_are(tmp_path: Path) -> None:
    sink = MemorySink()
    async with bench(tmp_path / "1", [sink]) as at, bench(tmp_path / "2", [sink]) as other:
        way = Way(tmp_path, at)
        way.record(1, 4)
        await way.ship_all()
        way.hub.hub = other.hub
        way.at = other
        way.record(5, 6)
        await way.ship_all()
        assert sink.numbers(SOURCE) == [1, 2, 3, 4, 5, 6]


async def test_segments_go_when_every_sink_has_them(tmp_path: Path) -> None:
    fast, slow = MemorySink("fast"), MemorySink("slow")
    slow.gate.clear()
    async with bench(tmp_path, [fast, slow]) as at:
        way = Way(tmp_path, at, batch_events=100)
        for number in range(1, 6):
            big = event(number)
            way.journal.append(encode_event(type(big)(big.kind, big.at, "x" * 40_000, {})))
        await way.shipment.step()
        await way.shipment.step()
        assert len(way.journal.extent.segments) == 3
        slow.gate.set()
        await way.ship_all()
        assert len(way.journal.extent.segments) == 1
        assert not path_of(way.journal.folder, 1).exists()
        assert slow.numbers(SOURCE) == [1, 2, 3, 4, 5]


async def test_a_sink_that_was_set_back_gets_what_is_left(tmp_path: Path) -> None:
    sink = MemorySink()
    async with bench(tmp_path / "1", [sink]) as at, bench(tmp_path / "2", [sink]) as other:
        way = Way(tmp_path, at)
        way.record(1, 4)
        await way.ship_all()
        sink.marks[SOURCE] = 1  # its database came back from a backup
        way.hub.hub, way.at = other.hub, other
        way.hub.away = True
        with pytest.raises(Unavailable):
            await way.shipment.step()
        way.hub.away = False
        await way.ship_all()
        assert sink.numbers(SOURCE) == [1, 2, 3, 4, 2, 3, 4]


async def test_damage_in_the_journal_costs_what_was_damaged(tmp_path: Path) -> None:
    sink = MemorySink()
    async with bench(tmp_path, [sink]) as at:
        way = Way(tmp_path, at, batch_events=100)
        way.record(1, 5)
        path = path_of(way.journal.folder, 1)
        path.write_bytes(path.read_bytes().replace(b"req_3", b"req_!"))
        os.truncate(path, path.stat().st_size - 1)
        await way.ship_all()
        assert sink.ids == ["req_1", "req_2", "req_4"]
        assert sink.marks == {SOURCE: 5}
        assert at.counted("helixflow_events_lost_total") == 2


async def test_where_no_lane_has_room_a_step_brings_nothing_on(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.gate.clear()
    async with bench(tmp_path, [sink], queue_events_max=2) as at:
        way = Way(tmp_path, at, batch_events=2)
        way.record(1, 4)
        assert await way.shipment.step()  # asks
        assert await way.shipment.step()
        assert not await way.shipment.step()
        assert way.shipment.unsent == 2
        sink.gate.set()
        await way.ship_all()
        assert sink.numbers(SOURCE) == [1, 2, 3, 4]


async def test_without_a_journal_counts_go_all_the_same(tmp_path: Path) -> None:
    async with bench(tmp_path, [MemorySink()]) as at:
        tally, hub = Tally(10), WiredHub(at.hub)
        shipment = Shipment(SOURCE, "ingress", None, tally, hub, 4)
        tally.count(Metric.REQUESTS)
        await shipment.step()
        await shipment.step()
        assert at.counted("helixflow_requests_total") == 1
        assert not shipment.outstanding
