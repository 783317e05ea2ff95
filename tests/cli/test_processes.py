from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from helixflow.cli.processes import end_all, identify, is_alive, pillars, processes_of

WAIT = "import sys, signal; print(1, flush=True); sys.stdin.read()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + WAIT


class Nursery:
    """Starts processes and sees to their end."""

    def __init__(self) -> None:
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, mark: str = "", code: str = WAIT) -> psutil.Process:
        environment = {**os.environ, **({"HELIXFLOW_STACK": mark} if mark else {})}
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        self.children.append(child)
        return psutil.Process(child.pid)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    for child in nursery.children:
        child.kill()
        child.communicate()


def test_a_stacks_processes_are_found_by_their_mark_and_no_others(nursery: Nursery) -> None:
    ours, _others, _plain = nursery.start("m1"), nursery.start("m2"), nursery.start()
    assert [process.pid for process in processes_of("m1")] == [ours.pid]


def test_a_recorded_process_is_found_without_a_mark(nursery: Nursery) -> None:
    plain = nursery.start()
    recorded = identify([plain])
    assert [process.pid for process in processes_of("m3", recorded)] == [plain.pid]
    assert is_alive(recorded)


def test_a_pid_that_was_given_to_something_else_is_not_ours(nursery: Nursery) -> None:
    plain = nursery.start()
    stale = ((plain.pid, plain.create_time() - 100),)
    assert processes_of("m4", stale) == []
    assert not is_alive(stale)


def test_ending_a_stack_leaves_everybody_else_alone(nursery: Nursery) -> None:
    ours, deaf = nursery.start("m5"), nursery.start("m5", DEAF)
    stranger = nursery.start("m6")
    assert end_all("m5", grace_s=0.3) == (2, [])
    assert stranger.is_running()
    assert processes_of("m5") == []
    assert not is_alive([(ours.pid, ours.create_time()), (deaf.pid, deaf.create_time())])


def test_ending_nothing_ends_nothing() -> None:
    assert end_all("m7") == (0, [])


def test_a_process_that_is_gone_is_neither_alive_nor_a_server(nursery: Nursery) -> None:
    ours = nursery.start("m8")
    recorded = identify([ours])
    nursery.children[0].kill()
    nursery.children[0].wait()
    assert pillars([ours]) == []
    assert not is_alive(recorded)


def test_rays_servers_are_told_from_the_rest_by_name(nursery: Nursery, tmp_path: Path) -> None:
    raylet = tmp_path / "raylet"
    raylet.symlink_to(sys.executable)
    child = subprocess.Popen([raylet, "-S", "-c", WAIT], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)  # fmt: skip
    nursery.children.append(child)
    assert child.stdout is not None
    child.stdout.readline()
    found = [psutil.Process(child.pid), nursery.start()]
    assert [process.pid for process in pillars(found)] == [child.pid]
