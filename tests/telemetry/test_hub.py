"""The hub between processes and sinks: nothing twice, nothing lost, nobody held up by another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from helixflow.errors import Unavailable
from helixflow.signals import EventKind
from helixflow.telemetry.deltas import Deltas, encode
from helixflow.telemetry.wire import encode_event, join
from helixflow.testing.telemetry import MemorySink

from .hub_bench import SOURCE, bench, event

EMPTY = join([])


class TestMarks:
    async def test_a_batch_is_durable_once_every_sink_has_committed_it(
        self, tmp_path: Path
    ) -> None:
        one, other = MemorySink("one"), MemorySink("other")
        async with bench(tmp_path, [one, other]) as at:
            assert await at.ship(1, 3) == (3, 0)
            await at.settled()
            assert await at.ship_raw(3, 3, EMPTY) == (3, 3)
            assert one.numbers(SOURCE) == other.numbers(SOURCE) == [1, 2, 3]
            assert one.ids == ["req_1", "req_2", "req_3"]

    async def test_what_comes_twice_is_taken_once(self, tmp_path: Path) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            await asyncio.gather(*(at.ship(1, 3) for _ in range(3)))
            await at.ship(2, 5)
            await at.ship(1, 2)
            await at.settled()
            assert sink.numbers(SOURCE) == [1, 2, 3, 4, 5]

    async def test_a_source_is_sent_back_to_where_the_sinks_are(self, tmp_path: Path) -> None:
        one, other = MemorySink("one"), MemorySink("other")
        one.marks[SOURCE], other.marks[SOURCE] = 10, 4
        async with bench(tmp_path, [one, other]) as at:
            assert await at.ship_raw(0, 0, EMPTY) == (4, 4)
            await at.ship(5, 12)
            await at.settled()
            assert one.numbers(SOURCE) == [11, 12]
            assert other.numbers(SOURCE) == list(range(5, 13))

    async def test_a_batch_that_would_leave_a_hole_is_not_taken(self, tmp_path: Path) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            assert await at.ship(5, 7) == (0, 0)
            assert sink.held == []

    async def test_what_a_source_has_lost_is_passed_over_and_counted_once(
        self, tmp_path: Path
    ) -> None:
        one, other = MemorySink("one"), MemorySink("other")
        async with bench(tmp_path, [one, other]) as at:
            await at.ship(4, 6, after=0)
            await at.ship(4, 6, after=0)
            await at.ship_raw(6, 8, EMPTY)  # its end is lost
            await at.settled()
            assert one.numbers(SOURCE) == other.numbers(SOURCE) == [4, 5, 6]
            assert one.marks == {SOURCE: 8}
            assert at.counted("helixflow_events_lost_total") == 5
            assert at.counted("helixflow_events_total", kind="request.ended") == 3

    async def test_events_are_counted_by_kind_once(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()]) as at:
            denied = encode_event(event(2, EventKind.AUTHORIZATION_DENIED))
            for _ in range(2):
                await at.ship_raw(0, 2, join([encode_event(event(1)), denied]))
            assert at.counted("helixflow_events_total", kind="request.ended") == 1
            assert at.counted("helixflow_events_total", kind="authorization.denied") == 1

    async def test_without_sinks_everything_is_durable_at_once(self, tmp_path: Path) -> None:
        async with bench(tmp_path, []) as at:
            assert await at.ship(1, 3) == (3, 3)
            assert at.counted("helixflow_events_total", kind="request.ended") == 3


class TestSlowSinks:
    async def test_a_full_lane_does_not_hold_the_others(self, tmp_path: Path) -> None:
        fast, slow = MemorySink("fast"), MemorySink("slow")
        slow.gate.clear()
        async with bench(tmp_path, [fast, slow], queue_events_max=4) as at:
            assert await at.ship(1, 4) == (4, 0)
            await asyncio.wait_for(at.lanes[0].drained(), 5)
            assert await at.ship(5, 8) == (8, 0)  # the slow one did not take these
            await asyncio.wait_for(at.lanes[0].drained(), 5)
            assert fast.numbers(SOURCE) == list(range(1, 9))
            slow.gate.set()
            await at.settled()
            assert await at.ship_raw(8, 8, EMPTY) == (4, 4)  # back to where it was
            assert await at.ship(5, 8) == (8, 4)
            await at.settled()
            assert slow.numbers(SOURCE) == list(range(1, 9))
            assert fast.numbers(SOURCE) == list(range(1, 9))

    async def test_where_every_lane_is_full_nothing_goes_on(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()], running=False, queue_events_max=2) as at:
            assert await at.ship(1, 3) == (3, 0)
            assert await at.ship(4, 5) == (3, 0)
            assert at.lanes[0].depth == 3

    async def test_a_lane_opens_again_when_half_of_it_is_written(self, tmp_path: Path) -> None:
        sink = MemorySink()
        seen: list[bool] = []
        async with bench(tmp_path, [sink], queue_events_max=4, write_events_max=1) as at:
            sink.before = lambda _: seen.append(at.lanes[0].open)
            for number in range(1, 5):
                await at.ship(number, number)
            await at.settled()
            assert at.lanes[0].open
            assert at.lanes[0].depth == 0

    async def test_pieces_of_a_source_are_written_together_up_to_a_bound(
        self, tmp_path: Path
    ) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink], running=False, write_events_max=4) as at:
            for first in (1, 3, 5):
                await at.ship(first, first + 1)
            await at.ship(1, 1, source="ingress-2")
            await at.ship(9, 9, after=6)
            work = asyncio.create_task(at.lanes[0].run())
            await at.settled()
            work.cancel()
            assert sink.numbers(SOURCE) == [1, 2, 3, 4, 5, 6, 9]
            assert [name for name, _, _ in sink.held][4] == "ingress-2"
            assert sink.writes == 4

    async def test_a_sink_that_cannot_say_where_it_is_holds_nobody(self, tmp_path: Path) -> None:
        well, ill = MemorySink("well"), MemorySink("ill")
        ill.silent = ConnectionError("away")
        async with bench(tmp_path, [well, ill]) as at:
            assert await at.ship(1, 2) == (2, 0)
            await asyncio.wait_for(at.lanes[0].drained(), 5)
            assert await at.ship(3, 4) == (4, 0)
            ill.silent = None
            await at.ship_raw(4, 4, EMPTY)  # asks again, without waiting for it
            await asyncio.sleep(0)
            assert await at.ship_raw(4, 4, EMPTY) == (0, 0)
            await at.ship(1, 4)
            await at.settled()
            assert ill.numbers(SOURCE) == well.numbers(SOURCE) == [1, 2, 3, 4]

    async def test_where_no_sink_can_say_the_source_stays_where_it_is(self, tmp_path: Path) -> None:
        sink = MemorySink()
        sink.silent = ConnectionError("away")
        async with bench(tmp_path, [sink]) as at:
            assert await at.ship(6, 7) == (5, 0)


class TestUnreadable:
    async def test_what_this_version_cannot_read_is_a_dead_letter(self, tmp_path: Path) -> None:
        sink = MemorySink()
        strange = msgspec.msgpack.encode((1, "dream.ended", 1.0, "req_2", {}))
        body = join([encode_event(event(1)), strange, encode_event(event(3)), strange])
        async with bench(tmp_path, [sink]) as at:
            await at.ship_raw(0, 4, body)
            await at.settled()
            assert sink.numbers(SOURCE) == [1, 3]
            assert sink.marks == {SOURCE: 4}
            names = sorted(path.name for path in at.letters.iterdir())
            assert names == [f"hub-{SOURCE}-2.json", f"hub-{SOURCE}-4.json"]
            letter = msgspec.json.decode((at.letters / names[0]).read_bytes())
            assert bytes.fromhex(letter["event"]["unreadable"]) == strange
            assert at.counted("helixflow_events_lost_total") == 0
            assert at.counted("helixflow_dead_letters_total", sink="hub") == 2

    @pytest.mark.parametrize(
        ("source", "after", "last", "body"),
        [
            ("../etc", 0, 0, EMPTY),
            (SOURCE, 0, 0, b"garbage"),
            (SOURCE, 0, 0, join([encode_event(event(1))])),
        ],
    )
    async def test_what_is_no_batch_is_refused(
        self, tmp_path: Path, source: str, after: int, last: int, body: bytes
    ) -> None:
        async with bench(tmp_path, [MemorySink()]) as at:
            with pytest.raises(ValueError):
                await at.ship_raw(after, last, body, source=source)


class TestCounts:
    async def test_counts_are_absorbed_once(self, tmp_path: Path) -> None:
        async with bench(tmp_path, []) as at:
            deltas = Deltas((("helixflow_requests_total", (), 2.0),))
            for number in (1, 1, 2):
                await at.ship_raw(0, 0, EMPTY, number=number, rows=encode(deltas))
            assert at.counted("helixflow_requests_total") == 4
            assert at.metrics.absorbed[0] == (SOURCE, "ingress", deltas)

    async def test_counts_that_cannot_be_read_are_refused_with_their_batch(
        self, tmp_path: Path
    ) -> None:
        async with bench(tmp_path, [MemorySink()]) as at:
            with pytest.raises(ValueError):
                await at.ship_raw(0, 0, EMPTY, number=1, rows=b"garbage")

    async def test_the_hub_reports_about_itself(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()], running=False) as at:
            await at.ship(1, 3)
            at.clock.advance(1.5)
            work = asyncio.create_task(at.lanes[0].run())
            at.hub.report()
            await at.settled()
            at.hub.report()
            work.cancel()
            levels = [row for _, role, deltas in at.metrics.absorbed for row in deltas.gauges]
            name = "helixflow_sink_queue_events"
            assert levels == [(name, (("sink", "memory"),), depth) for depth in (3.0, 0.0)]
            ((lag, _, _, _, total),) = at.metrics.absorbed[-1][2].histograms
            assert (lag, total) == ("helixflow_sink_lag_seconds", 1.5)

    async def test_it_reports_by_itself(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [], report_s=0.001) as at, asyncio.timeout(5):
            while not at.metrics.absorbed:
                await asyncio.sleep(0.001)


class TestSources:
    async def test_a_process_that_ends_takes_its_levels_with_it(self, tmp_path: Path) -> None:
        async with bench(tmp_path, []) as at:
            await at.ship_raw(0, 0, EMPTY, closing=True)
            assert at.metrics.forgotten == [SOURCE]

    async def test_one_that_is_silent_is_forgotten_and_known_again_by_its_marks(
        self, tmp_path: Path
    ) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink], source_idle_s=10) as at:
            await at.ship(1, 2)
            await at.settled()
            at.clock.advance(11)
            at.hub.report()
            assert at.metrics.forgotten == [SOURCE]
            assert at.lanes[0].mark(SOURCE) is None
            await at.ship(1, 3)
            await at.settled()
            assert sink.numbers(SOURCE) == [1, 2, 3]

    async def test_one_whose_events_wait_is_not_forgotten(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()], running=False, source_idle_s=10) as at:
            await at.ship(1, 2)
            at.clock.advance(11)
            at.hub.report()
            assert at.metrics.forgotten == []

    async def test_more_sources_than_the_bound_push_out_the_quietest(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()], running=False, sources_max=2) as at:
            await at.ship(1, 2, source="a")
            await at.ship_raw(0, 0, EMPTY, source="b")
            await at.ship_raw(0, 0, EMPTY, source="c")
            assert at.metrics.forgotten == ["b"]
            await at.ship(1, 2, source="c")
            with pytest.raises(Unavailable):
                await at.ship_raw(0, 0, EMPTY, source="d")


class TestTheEnd:
    async def test_a_draining_hub_writes_what_it_took_and_takes_no_more(
        self, tmp_path: Path
    ) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            await at.ship(1, 3)
            assert await at.hub.drain()
            assert sink.numbers(SOURCE) == [1, 2, 3]
            with pytest.raises(Unavailable):
                await at.ship(4, 4)

    async def test_it_does_not_wait_for_ever(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()], running=False, close_s=0.001) as at:
            await at.ship(1, 3)
            assert not await at.hub.drain()
