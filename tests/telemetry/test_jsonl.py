from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.settings import JsonlSettings
from helixflow.telemetry.jsonl import JsonlSink
from helixflow.testing.clock import ManualClock

from .hub_bench import event

DAY_S = 86_400.0


def opened(folder: Path, clock: ManualClock | None = None, **settings: Any) -> JsonlSink:
    return JsonlSink(folder, JsonlSettings(**settings), clock or ManualClock())


def rows(folder: Path) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


async def put(sink: JsonlSink, source: str, first: int, last: int) -> None:
    await sink.write(source, last, [event(number) for number in range(first, last + 1)])


async def test_an_event_is_a_line_with_its_source_and_number(tmp_path: Path) -> None:
    sink = opened(tmp_path / "deep" / "events")
    await put(sink, "a-1", 1, 2)
    assert rows(tmp_path / "deep" / "events")[1] == {
        "kind": "request.ended",
        "at": 1_700_000_000.0,
        "id": "req_2",
        "facts": {"tokens": 2},
        "source": "a-1",
        "sequence": 2,
    }
    (path,) = (tmp_path / "deep" / "events").glob("*.jsonl")
    assert path.name == "2023-11-14.000000.jsonl"
    assert path.stat().st_mode & 0o077 == 0


async def test_marks_are_there_after_a_restart(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    assert await sink.high_water("a-1") == 0
    await put(sink, "a-1", 1, 2)
    await put(sink, "b-1", 1, 1)
    await sink.write("a-1", 5, [])
    again = opened(tmp_path)
    assert await again.high_water("a-1") == 5
    assert await again.high_water("b-1") == 1
    await put(again, "a-1", 6, 6)
    assert [row["sequence"] for row in rows(tmp_path)] == [1, 2, 1, 6]


async def test_what_it_holds_already_is_not_written_again(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    await put(sink, "a-1", 1, 3)
    await put(sink, "a-1", 2, 4)
    await put(sink, "a-1", 1, 1)
    assert [row["sequence"] for row in rows(tmp_path)] == [1, 2, 3, 4]
    assert await sink.high_water("a-1") == 4


async def test_files_turn_by_size_and_by_day_and_old_ones_go(tmp_path: Path) -> None:
    clock = ManualClock()
    sink = opened(tmp_path, clock, file_bytes_max=4096, days_max=1)
    for number in range(1, 80):
        await put(sink, "a-1", number, number)
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert names == [f"2023-11-14.00000{turn}.jsonl" for turn in range(len(names))]
    assert len(names) > 2
    assert all(path.stat().st_size <= 4096 for path in tmp_path.glob("*.jsonl"))
    clock.set_wall(clock.now() - DAY_S)  # a clock that was set back begins no older file
    await put(sink, "a-1", 80, 80)
    assert len(rows(tmp_path)) == 80
    clock.set_wall(clock.now() + 4 * DAY_S)
    await put(sink, "a-1", 81, 81)
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["2023-11-17.000000.jsonl"]
    assert await opened(tmp_path, clock).high_water("a-1") == 81


async def test_a_failed_write_leaves_it_as_it_was(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    await put(sink, "a-1", 1, 2)
    (tmp_path / "marks.unfinished").mkdir()
    with pytest.raises(OSError):
        await put(sink, "a-1", 3, 4)
    assert await sink.high_water("a-1") == 2
    (tmp_path / "marks.unfinished").rmdir()
    await put(sink, "a-1", 3, 5)
    assert [row["sequence"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5]


async def test_marks_of_long_gone_sources_are_given_up(tmp_path: Path) -> None:
    names = ["kept-1", *(f"a-{number}" for number in range(999))]
    told = {"file": "", "size": 0, "sources": dict.fromkeys(names, 1)}
    (tmp_path / "marks.json").write_bytes(msgspec.json.encode(told))
    sink = opened(tmp_path)
    await put(sink, "kept-1", 2, 2)
    await sink.write("b-1", 1, [])
    assert await sink.high_water("kept-1") == 2
    assert await sink.high_water("a-0") == 0
    assert await sink.high_water("a-1") == 1


def test_damaged_marks_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "marks.json").write_text("{")
    with pytest.raises(ValueError):
        opened(tmp_path)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.data())
async def test_a_crash_between_rows_and_marks_costs_and_repeats_nothing(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("events")
    sink, number = opened(folder, file_bytes_max=4096), 0
    committed = data.draw(st.integers(0, len(sizes) - 1))
    for turn, size in enumerate(sizes):
        if turn == committed:  # what follows reaches the files, but not the marks
            (folder / "saved").write_bytes(marks(folder))
        await put(sink, "a-1", number + 1, number + size)
        number += size
    shutil.move(folder / "saved", folder / "marks.json")
    (path,) = folder.glob("*.jsonl")
    os.truncate(path, data.draw(st.integers(committed_size(folder), path.stat().st_size)))
    again = opened(folder, file_bytes_max=4096)
    held = await again.high_water("a-1")
    assert held == sum(sizes[:committed])
    await put(again, "a-1", held + 1, number)
    assert [row["sequence"] for row in rows(folder)] == list(range(1, number + 1))


def marks(folder: Path) -> bytes:
    path = folder / "marks.json"
    return path.read_bytes() if path.exists() else b"{}"


def committed_size(folder: Path) -> int:
    size: int = msgspec.json.decode(marks(folder)).get("size", 0)
    return size
