from __future__ import annotations

from pathlib import Path

import pytest

from helixflow.telemetry.marks_file import MarksFile


def test_marks_outlive_their_process_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "traces" / "marks.json"
    marks = MarksFile(path)
    marks.keep("a", 1)
    marks.keep("a", 5)
    marks.keep("b", 2)
    again = MarksFile(path)
    assert (again.high_water("a"), again.high_water("b"), again.high_water("c")) == (5, 2, 0)
    assert not (path.stat().st_mode | path.parent.stat().st_mode) & 0o077


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_bytes(b'{"a": "x')
    assert MarksFile(path).high_water("a") == 0


def test_the_sources_that_were_silent_for_longest_go(tmp_path: Path) -> None:
    marks = MarksFile(tmp_path / "marks.json", sources_max=2)
    for number, source in enumerate(["a", "b", "a", "c"], 1):
        marks.keep(source, number)
    assert [marks.high_water(source) for source in "abc"] == [3, 0, 4]


def test_what_cannot_be_kept_leaves_what_stood_before(tmp_path: Path) -> None:
    marks = MarksFile(tmp_path / "folder" / "marks.json")
    marks.keep("a", 1)
    (tmp_path / "folder" / "marks.unfinished").mkdir()
    with pytest.raises(OSError, match="directory"):
        marks.keep("a", 2)
    assert marks.high_water("a") == 1
