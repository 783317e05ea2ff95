from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from helixflow.ids import mint_request_id
from helixflow.settings import TracesSettings
from helixflow.signals import Event, EventKind, Metric
from helixflow.telemetry.marks_file import MarksFile
from helixflow.telemetry.ports import Indigestible
from helixflow.telemetry.traces.sink import TraceSink
from helixflow.telemetry.traces.span import Span
from helixflow.testing.telemetry import MemoryMetrics

from .strategies import NOW, ended, generated


class MemoryExporter:
    """`Exporter` that keeps what it takes, and fails as the test says."""

    def __init__(self, *failures: Exception | bool) -> None:
        self.failures = list(failures)
        self.batches: list[Sequence[Span]] = []
        self.tries = 0
        self.closed = False

    def export(self, spans: Sequence[Span]) -> bool:
        self.tries += 1
        failure = self.failures.pop(0) if self.failures else True
        if isinstance(failure, Exception):
            raise failure
        if failure:
            self.batches.append(spans)
        return failure

    def close(self) -> None:
        self.closed = True


class Bench:
    """A sink with its exporter; pauses are over at once, and noted."""

    def __init__(self, folder: Path, *failures: Exception | bool, **settings: Any) -> None:
        self.exporter, self.metrics = MemoryExporter(*failures), MemoryMetrics()
        self.pauses: list[float] = []
        chosen = TracesSettings.model_validate(
            {"endpoint": "http://receiver", "sample_ratio": 1.0, **settings}
        )
        self.sink = TraceSink(
            self.exporter, MarksFile(folder / "marks.json"), self.metrics, chosen, {}, self._sleep
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def write(self, last: int, *events: Event) -> None:
        await self.sink.write("ingress-1", last, events)

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the sink work until something is so."""
        work = asyncio.create_task(self.sink.run())
        try:
            async with asyncio.timeout(10):
                while not true():
                    await asyncio.sleep(0)
        finally:
            work.cancel()
            await asyncio.wait({work})

    def counted(self, outcome: str) -> float:
        return sum(
            by
            for _, _, deltas in self.metrics.absorbed
            for metric, labels, by in deltas.counters
            if metric == Metric.SPANS and labels == (("outcome", outcome),)
        )


def fresh() -> Event:
    return ended(request=mint_request_id())


async def test_spans_of_kept_requests_are_exported_in_batches(tmp_path: Path) -> None:
    bench = Bench(tmp_path, batch_spans=4)
    await bench.write(2, fresh(), fresh())
    await bench.until(lambda: bench.counted("exported") == 8)
    assert [len(batch) for batch in bench.exporter.batches] == [4, 4]
    assert bench.counted("dropped") == 0


async def test_what_is_not_kept_goes_nowhere_and_its_number_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, sample_ratio=0.0)
    await bench.write(2, fresh(), generated())
    await bench.sink.close()
    assert bench.exporter.tries == 0
    assert await bench.sink.high_water("ingress-1") == 2


async def test_how_far_it_is_outlives_it(tmp_path: Path) -> None:
    await Bench(tmp_path).write(7, fresh())
    assert await Bench(tmp_path).sink.high_water("ingress-1") == 7
    assert await Bench(tmp_path).sink.high_water("ingress-2") == 0


async def test_a_receiver_that_is_away_is_tried_with_growing_pauses(tmp_path: Path) -> None:
    bench = Bench(tmp_path, False, OSError("away"), False)
    await bench.write(1, fresh())
    await bench.until(lambda: bench.counted("exported") == 4)
    assert bench.pauses == [1.0, 2.0, 4.0]


async def test_a_batch_that_is_never_taken_is_dropped_for_those_behind_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, False, False, tries_max=2, batch_spans=4)
    await bench.write(2, fresh(), fresh())
    await bench.until(lambda: bench.counted("exported") == 4)
    assert bench.counted("dropped") == 4


async def test_a_full_queue_drops_its_oldest(tmp_path: Path) -> None:
    bench = Bench(tmp_path, queue_spans_max=4)
    old, new = fresh(), fresh()
    await bench.write(2, old, new)
    await bench.sink.close()
    names = {span.attributes.get("helixflow.request.id") for span in bench.exporter.batches[0]}
    assert names == {new.id, None}
    assert bench.counted("dropped") == 4


async def test_writing_never_waits_for_the_receiver(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *[False] * 100)
    for number in range(1, 4):
        await bench.write(number, fresh())
    assert bench.exporter.tries == 0
    assert await bench.sink.high_water("ingress-1") == 3


async def test_closing_exports_what_waits_once_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, False)
    await bench.write(1, fresh())
    await bench.until(lambda: bench.exporter.tries == 1)
    await bench.sink.close()
    assert bench.counted("exported") + bench.counted("dropped") == 4
    assert bench.exporter.closed


async def test_closing_gives_up_where_the_receiver_is_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *[False] * 10, batch_spans=4)
    await bench.write(2, fresh(), fresh())
    await bench.sink.close()
    assert (bench.exporter.tries, bench.exporter.closed) == (1, True)
    assert bench.counted("dropped") == 8


async def test_facts_that_are_none_are_indigestible_and_nothing_of_them_is_taken(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    odd = Event(EventKind.REQUEST_ENDED, NOW, "req_1", {"outcome": 1})
    with pytest.raises(Indigestible):
        await bench.write(2, fresh(), odd)
    await bench.sink.close()
    assert bench.exporter.tries == 0
    assert await bench.sink.high_water("ingress-1") == 0
