from __future__ import annotations

import subprocess
import sys

from benchmarks.systems.processes import Family

_PARENT = (
    "import subprocess, sys; "
    "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
)


def test_a_family_is_what_was_started_with_its_mark_and_ends_as_a_whole() -> None:
    family, stranger = Family(), Family()
    parent = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PARENT],
        env=family.environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert {process.pid for process in family.members()} == {parent.pid, child}
        assert stranger.members() == set()
        assert family.cpu_s() >= 0.0
        assert family.memory_mib() > 0.0
        assert family.end() == 2
        assert family.members() == set()
    finally:
        parent.kill()
        parent.communicate()
