from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helixflow.clock import Clock, SystemClock
from helixflow.settings import TelemetrySettings
from helixflow.signals import Event, EventKind, Metric, Signals
from helixflow.telemetry.journal import Journal
from helixflow.telemetry.recorder import Recorder, journals_of
from helixflow.testing.clock import ManualClock
from helixflow.testing.telemetry import MemorySink, WiredHub

from .hub_bench import bench, event

QUICK: dict[str, Any] = {
    "shipping": {"batch_s": 0.001, "pause_s_max": 0.004, "close_s": 5},
    "journal": {"adopt_s": 0.01, "retry_s": 0.001},
}


def recorder(home: Path, clock: Clock | None = None, **settings: Any) -> Recorder:
    told = TelemetrySettings(**{**QUICK, **settings})
    return Recorder(home, "ingress", clock or SystemClock(), told)


async def until(true: Callable[[], bool]) -> None:
    """Let other tasks run until something holds."""
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


def dropped(at: Recorder, reason: str) -> float:
    rows = at._tally.take().counters
    name, labels = Metric.EVENTS_DROPPED.value, (("reason", reason),)
    return sum(by for metric, found, by in rows if (metric, found) == (name, labels))


@contextmanager
def no_file_grows() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestRecording:
    async def test_events_and_counts_reach_the_hub_and_nothing_stays(self, tmp_path: Path) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            signals: Signals
            signals = one = recorder(tmp_path)
            one.start(WiredHub(at.hub))
            for number in range(1, 4):
                signals.record(event(number))
            signals.count(Metric.REQUESTS, (("model", "echo-1"),), 2)
            signals.observe(Metric.REQUEST_SECONDS, 0.5)
            signals.gauge(Metric.TOKENS, 1.0)
            await until(lambda: one.durable == 3)
            signals.record(event(4))
            await one.close()
            assert sink.ids == ["req_1", "req_2", "req_3", "req_4"]
            assert at.counted("helixflow_requests_total", model="echo-1") == 2
            assert at.metrics.forgotten[-1] == one.source
            assert list(journals_of(tmp_path).iterdir()) == []

    async def test_a_whole_batch_does_not_wait_for_its_time(self, tmp_path: Path) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            one = recorder(tmp_path, shipping={"batch_s": 60, "batch_events": 4})
            one.start(WiredHub(at.hub))
            await asyncio.sleep(0.01)
            for number in range(1, 9):
                one.record(event(number))
            await until(lambda: len(sink.held) >= 4)
            await one.close()
            assert len(sink.held) == 8

    def test_its_source_tells_its_role_and_is_its_own(self, tmp_path: Path) -> None:
        one, other = recorder(tmp_path), recorder(tmp_path)
        assert one.source.startswith("ingress-")
        assert one.source != other.source

    def test_an_event_that_cannot_be_written_is_dropped_and_counted(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = recorder(tmp_path)
        one.record(Event(EventKind.REQUEST_ENDED, 1.0, "req_1", {"secret": object()}))  # type: ignore[dict-item]
        one.record(Event(EventKind.REQUEST_ENDED, 1.0, "x" * 70_000, {}))
        assert one.last == 0
        assert dropped(one, "unwritable") == 2
        assert "secret" not in caplog.text


class TestAway:
    async def test_what_is_recorded_while_the_hub_is_away_comes_later(self, tmp_path: Path) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            hub = WiredHub(at.hub)
            hub.away = True
            one = recorder(tmp_path)
            one.start(hub)
            for number in range(1, 600):
                one.record(event(number))
                if number % 200 == 0:
                    await asyncio.sleep(0.005)
            assert not one.full
            hub.away = False
            await until(lambda: one.durable == 599)
            assert [number for _, number, _ in sink.held] == list(range(1, 600))
            await one.close()

    async def test_what_a_process_leaves_behind_is_adopted_by_another(self, tmp_path: Path) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            hub = WiredHub(at.hub)
            hub.away = True
            dead = recorder(tmp_path, shipping={"close_s": 0.01})
            dead.start(hub)
            for number in range(1, 1200):
                dead.record(event(number))
            await dead.close()
            Journal(journals_of(tmp_path), "idle-1", TelemetrySettings().journal)._lock.release()
            never_started = recorder(tmp_path)
            never_started.record(event(5000))
            await never_started.close()
            assert len(list(journals_of(tmp_path).iterdir())) == 3
            hub.away = False
            other = recorder(tmp_path)
            other.start(hub)
            await until(lambda: len(list(journals_of(tmp_path).iterdir())) == 1)
            assert sink.numbers(dead.source) == list(range(1, 1200))
            assert sink.numbers(never_started.source) == [1]
            assert {dead.source, never_started.source} <= set(at.metrics.forgotten)
            await other.close()

    async def test_an_orphan_waits_for_a_sink_and_does_not_hold_up_others(
        self, tmp_path: Path
    ) -> None:
        well, ill = MemorySink("well"), MemorySink("ill")
        ill.gate.clear()
        async with bench(tmp_path, [well, ill]) as at:
            hub = WiredHub(at.hub)
            dead = [recorder(tmp_path), recorder(tmp_path)]
            for one in dead:
                one.record(event(1))
                await one.close()
            other = recorder(tmp_path)
            other.start(hub)
            await until(lambda: len(well.held) == 2)
            assert len(list(journals_of(tmp_path).iterdir())) == 3
            ill.gate.set()
            await until(lambda: len(list(journals_of(tmp_path).iterdir())) == 1)
            assert len(ill.held) == 2
            await other.close()

    async def test_a_process_that_ends_waits_for_slow_sinks_a_moment(self, tmp_path: Path) -> None:
        sink = MemorySink()
        sink.gate.clear()
        async with bench(tmp_path, [sink]) as at:
            one = recorder(tmp_path)
            one.start(WiredHub(at.hub))
            one.record(event(1))
            closing = asyncio.create_task(one.close())
            await until(lambda: at.lanes[0].depth == 1)
            sink.gate.set()
            await closing
            assert list(journals_of(tmp_path).iterdir()) == []

    async def test_a_journal_that_cannot_be_read_is_tried_again(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            one = recorder(tmp_path)
            one.record(event(1))
            (segment,) = (journals_of(tmp_path) / one.source).glob("*.events")
            segment.rename(tmp_path / "aside")
            segment.mkdir()
            one.start(WiredHub(at.hub))
            await until(lambda: "cannot be read" in caplog.text)
            segment.rmdir()
            (tmp_path / "aside").rename(segment)
            await until(lambda: one.durable == 1)
            await one.close()

    async def test_a_fault_of_the_hub_does_not_end_the_shipping(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        sink = MemorySink()
        async with bench(tmp_path, [sink]) as at:
            hub = WiredHub(Broken())
            dead = recorder(tmp_path)
            dead.record(event(1))
            await dead.close()
            one = recorder(tmp_path)
            one.start(hub)
            one.record(event(2))
            await until(lambda: len(caplog.records) >= 2)
            hub.hub = at.hub
            await until(lambda: sorted(sink.ids) == ["req_1", "req_2"])
            await one.close()

    async def test_an_idle_process_says_now_and_then_that_it_lives(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()]) as at:
            clock, hub = ManualClock(), WiredHub(at.hub)
            one = recorder(tmp_path, clock)
            one.start(hub)
            one.gauge(Metric.TOKENS, 1.0)
            await until(lambda: len(hub.batches) >= 1)
            await asyncio.sleep(0.01)
            before = len(hub.batches)
            await asyncio.sleep(0.01)
            assert len(hub.batches) == before
            clock.advance(61)
            await until(lambda: len(hub.batches) > before)
            assert hub.batches[-1][6]
            await one.close()


class Broken:
    async def ship(self, batch: object) -> Any:
        raise ZeroDivisionError


class TestNoRoom:
    async def test_events_wait_for_room_and_are_kept_when_it_comes(self, tmp_path: Path) -> None:
        clock = ManualClock()
        one = recorder(tmp_path, clock, journal={"retry_s": 1})
        assert not one.full
        with no_file_grows():
            one.record(event(1))
            one.record(event(2))
            assert one.full
            assert not one.flush()
            clock.advance(2)
            one.record(event(3))
            assert one.last == 0
        clock.advance(2)
        one.record(event(4))
        assert not one.full
        assert one.flush()
        assert one.last == 4
        await one.close()

    async def test_more_than_can_wait_is_dropped_and_counted(self, tmp_path: Path) -> None:
        one = recorder(tmp_path, journal={"waiting_max": 2})
        with no_file_grows():
            for number in range(5):
                one.record(event(number))
        assert dropped(one, "full") == 3
        assert one.flush()
        assert one.last == 2
        await one.close()

    async def test_room_is_found_without_another_event(self, tmp_path: Path) -> None:
        async with bench(tmp_path, [MemorySink()]) as at:
            one = recorder(tmp_path)
            one.start(WiredHub(at.hub))
            with no_file_grows():
                one.record(event(1))
            await until(lambda: one.durable == 1)
            await one.close()

    async def test_without_a_folder_there_is_counting_only(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "journals").write_text("in the way")
        async with bench(tmp_path, [MemorySink()]) as at:
            one = recorder(tmp_path)
            one.start(WiredHub(at.hub))
            one.record(event(1))
            one.count(Metric.REQUESTS)
            assert one.full
            assert not one.flush()
            assert one.last == one.durable == 0
            await until(lambda: at.counted("helixflow_requests_total") == 1)
            await until(lambda: at.counted("helixflow_events_dropped_total", reason="full") == 1)
            await one.close()
        assert "journal" in caplog.text


def test_recording_takes_microseconds(tmp_path: Path) -> None:
    one = recorder(tmp_path)
    told = event(1)
    began = time.process_time()
    for _ in range(1000):
        one.record(told)
    # Generous, because the machine may be busy; an fsync per event takes a hundred times that.
    assert time.process_time() - began < 0.5
