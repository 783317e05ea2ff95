"""One sink's lane: retries, and what the sink will never take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.signals import Event
from helixflow.telemetry.ports import Indigestible
from helixflow.testing.telemetry import MemorySink

from .hub_bench import SOURCE, bench

AWAY = Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "away")


class Failing:
    """Raises these errors, one each time, then none."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self, events: Sequence[Event]) -> None:
        if self.errors:
            raise self.errors.pop(0)


class Refusing:
    """Never takes events of these ids."""

    def __init__(self, error: Exception, *ids: str) -> None:
        self.error, self.ids = error, set(ids)

    def __call__(self, events: Sequence[Event]) -> None:
        if self.ids & {event.id for event in events}:
            raise self.error


@pytest.mark.parametrize("error", [AWAY, OSError("away"), TimeoutError()])
async def test_a_sink_that_is_away_is_tried_until_it_is_back(
    tmp_path: Path, error: Exception
) -> None:
    sink = MemorySink()
    sink.before = Failing(*[error] * 20)
    async with bench(tmp_path, [sink], retry_s_max=2.0) as at:
        await at.ship(1, 3)
        await at.settled()
        assert sink.numbers(SOURCE) == [1, 2, 3]
        assert at.naps.taken[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
        assert len(at.naps.taken) == 20
        assert at.counted("helixflow_sink_failures_total", sink="memory") == 20
        assert not at.letters.exists()


async def test_an_outage_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    sink.before = Failing(*[AWAY] * 3)
    async with bench(tmp_path, [sink]) as at:
        await at.ship(1, 3)
        await at.settled()
    assert len(caplog.records) == 1


async def test_a_write_that_was_committed_but_failed_is_not_repeated(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.after = Failing(TimeoutError())
    async with bench(tmp_path, [sink]) as at:
        await at.ship(1, 3)
        await at.settled()
        assert sink.numbers(SOURCE) == [1, 2, 3]
        assert sink.writes == 1


async def test_a_write_that_hangs_is_given_up_and_tried_again(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.gate.clear()
    async with bench(tmp_path, [sink], write_s=0.001) as at:
        at.naps.during = sink.gate.set
        await at.ship(1, 3)
        await at.settled()
        assert sink.numbers(SOURCE) == [1, 2, 3]


@pytest.mark.parametrize("error", [Indigestible("no"), KeyError("tokens")])
async def test_events_that_it_will_never_take_are_laid_down_and_the_others_written(
    tmp_path: Path, error: Exception
) -> None:
    sink = MemorySink()
    sink.before = Refusing(error, "req_3", "req_8")
    async with bench(tmp_path, [sink]) as at:
        await at.ship(1, 8)
        await at.settled()
        assert sink.numbers(SOURCE) == [1, 2, 4, 5, 6, 7]
        assert sink.marks == {SOURCE: 8}
        assert await at.ship(9, 9) == (9, 8)
        names = sorted(path.name for path in at.letters.iterdir())
        assert names == [f"memory-{SOURCE}-{number}.json" for number in (3, 8)]
        letter = msgspec.json.decode((at.letters / names[0]).read_bytes())
        assert (letter["sink"], letter["source"], letter["sequence"]) == ("memory", SOURCE, 3)
        assert letter["reason"] == f"{type(error).__name__}: {error}"
        assert letter["event"]["id"] == "req_3"
        assert letter["event"]["facts"] == {"tokens": 3}
        assert (at.letters / names[0]).stat().st_mode & 0o077 == 0
        assert at.counted("helixflow_dead_letters_total", sink="memory") == 2


async def test_a_mistake_that_passes_costs_no_event(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.before = Failing(*[KeyError("x")] * 4)
    async with bench(tmp_path, [sink]) as at:
        await at.ship(1, 4)
        await at.settled()
        assert sink.numbers(SOURCE) == [1, 2, 3, 4]
        assert not at.letters.exists()


async def test_a_sink_that_goes_away_while_bad_events_are_parted_costs_no_good_one(
    tmp_path: Path,
) -> None:
    sink = MemorySink()
    refusing, failing = Refusing(Indigestible("no"), "req_2"), Failing()

    def before(events: Sequence[Event]) -> None:
        failing(events)
        try:
            refusing(events)
        except Indigestible:
            failing.errors = [AWAY]
            raise

    sink.before = before
    async with bench(tmp_path, [sink]) as at:
        await at.ship(1, 4)
        await at.settled()
        assert sink.numbers(SOURCE) == [1, 3, 4]
        assert [path.name for path in at.letters.iterdir()] == [f"memory-{SOURCE}-2.json"]


async def test_where_no_dead_letter_can_be_laid_down_the_event_is_kept(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.before = Refusing(Indigestible("no"), "req_1")
    (tmp_path / "dead-letters").write_text("in the way")
    async with bench(tmp_path, [sink]) as at:

        def clear() -> None:
            if len(at.naps.taken) == 3:
                (tmp_path / "dead-letters").unlink()

        at.naps.during = clear
        await at.ship(1, 1)
        await at.settled()
        assert len(at.naps.taken) == 3
        assert [path.name for path in at.letters.iterdir()] == [f"memory-{SOURCE}-1.json"]


async def test_the_folder_of_dead_letters_has_a_bound(tmp_path: Path) -> None:
    sink = MemorySink()
    sink.before = Refusing(Indigestible("no" * 500), "req_1", "req_2")
    async with bench(tmp_path, [sink], dead_letter_bytes_max=1024) as at:

        def empty() -> None:
            for path in at.letters.iterdir():
                path.unlink()

        at.naps.during = empty
        await at.ship(1, 2)
        await at.settled()
        assert len(at.naps.taken) == 1
        assert sink.marks == {SOURCE: 2}


async def test_no_source_waits_behind_all_of_another(tmp_path: Path) -> None:
    sink = MemorySink()
    async with bench(tmp_path, [sink], running=False, write_events_max=1) as at:
        for number in (1, 2, 3):
            await at.ship(number, number, source="busy")
        await at.ship(1, 1, source="quiet")
        work = asyncio.create_task(at.lanes[0].run())
        await at.settled()
        work.cancel()
        assert [name for name, _, _ in sink.held] == ["busy", "quiet", "busy", "busy"]
