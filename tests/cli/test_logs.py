from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from helixflow.cli.failure import NotRunning
from helixflow.cli.logs import follow, log_files, log_folder, tail
from helixflow.cli.record import Stack


@pytest.fixture
def folder(home: Path) -> Path:
    logs = home / "logs"
    (logs / "serve").mkdir(parents=True)
    (logs / "serve" / "controller_1.log").write_text("c1\nc2\nc3\n")
    (logs / "serve" / "replica_helixflow_Ingress_1.log").write_text("i1\n")
    (logs / "serve" / "empty.log").write_text("")
    (logs / "worker-1a-0100-77.err").write_text("{}\n")
    (logs / "raylet.out").write_text("r1\n")
    (logs / "python-core-worker-raylet.log").write_text("noise\n")
    return logs


def test_without_a_component_serves_files_and_our_own_are_shown(folder: Path) -> None:
    names = [path.name for path in log_files(folder, "")]
    assert sorted(names) == [
        "controller_1.log",
        "replica_helixflow_Ingress_1.log",
        "worker-1a-0100-77.err",
    ]


def test_a_component_is_part_of_a_name_in_any_case(folder: Path) -> None:
    assert [path.name for path in log_files(folder, "ingress")] == [
        "replica_helixflow_Ingress_1.log"
    ]
    assert [path.name for path in log_files(folder, "raylet")] == ["raylet.out"]


def test_the_tail_is_the_last_lines_of_each_file(folder: Path) -> None:
    found = log_files(folder, "controller")
    assert [line for _, line in tail(found, 2)] == ["c2", "c3"]
    assert list(tail(found, 0)) == []


def test_what_is_written_later_follows_whole_lines_only(folder: Path) -> None:
    file = folder / "raylet.out"
    later = folder / "serve" / "raylet_2.log"
    changes = iter(
        [
            lambda: file.write_text("r1\nr2\nr3 half"),
            lambda: later.write_text("new\n"),
            lambda: file.write_text("r1\nr2\nr3 half whole\n"),
        ]
    )
    lines = follow(lambda: log_files(folder, "raylet"), lambda _s: next(changes)())
    assert [line for _, line in islice(lines, 3)] == ["r2", "new", "r3 half whole"]


def test_the_logs_of_the_stack_that_runs_are_preferred(
    folder: Path, home: Path, stack: Stack
) -> None:
    assert log_folder(home) == folder
    stack.save()
    assert log_folder(home) == folder
    stack.logs.mkdir(parents=True)
    assert log_folder(home) == stack.logs


def test_a_home_without_logs_says_so(home: Path) -> None:
    with pytest.raises(NotRunning, match="no logs"):
        log_folder(home)
