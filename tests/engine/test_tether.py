from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from helixflow.engine.tether import VARIABLE, Tether, attach, await_orphans, started, tie
from helixflow.errors import ModelLoadError
from helixflow.testing.clock import ManualClock

REPLICA = """
import multiprocessing, pathlib, sys, time
from helixflow.engine.tether import Tether
from tether_child import work

if __name__ == "__main__":
    tether = Tether.open(pathlib.Path(sys.argv[1]), "m")
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    print(child.pid, flush=True)
    time.sleep(60)
"""
CHILD = """
import time

def work():
    time.sleep(60)
"""
STUBBORN = """
import fcntl, pathlib, sys, time
from helixflow.engine.tether import started
import os
engine = open(sys.argv[1], "a")
fcntl.flock(engine, fcntl.LOCK_SH)
engine.write(f"{os.getpid()} {started(os.getpid())}\\n")
engine.flush()
print("held", flush=True)
time.sleep(60)
"""


class Program:
    """A Python program that a test started; `line` is the first that it prints."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert self._process.stdout is not None
        self.line = self._process.stdout.readline().strip()
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextlib.contextmanager
def running(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Program]:
    program = Program(*arguments, environment=environment)
    try:
        yield program
    finally:
        program.kill()


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has reaped does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def ended(pid: int) -> None:
    async with asyncio.timeout(5.0):
        while alive(pid):
            await asyncio.sleep(0.01)


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Program]:
    (tmp_path / "replica.py").write_text(REPLICA)
    (tmp_path / "tether_child.py").write_text(CHILD)
    with running(str(tmp_path / "replica.py"), str(tmp_path / "run")) as program:
        yield program


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
async def test_a_spawned_engine_ends_with_its_replica_whatever_ends_it(
    replica: Program, tmp_path: Path, how: signal.Signals
) -> None:
    engine = int(replica.line)
    assert alive(engine)
    os.kill(replica.pid, how)
    await ended(engine)
    await await_orphans(tmp_path / "run", "m", 5.0)
    assert not list((tmp_path / "run" / "m").iterdir())


async def test_the_engine_of_a_living_replica_is_no_orphan(
    replica: Program, tmp_path: Path
) -> None:
    await await_orphans(tmp_path / "run", "m", 0.0)
    assert alive(int(replica.line))


async def test_other_models_are_left_alone(replica: Program, tmp_path: Path) -> None:
    replica.kill()
    await await_orphans(tmp_path / "run", "other", 0.0)
    assert list((tmp_path / "run" / "m").iterdir())


async def test_an_engine_that_does_not_end_is_killed_at_half_time(tmp_path: Path) -> None:
    owner, clock = dead_owner(tmp_path), ManualClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0.001)

    with running("-c", STUBBORN, str(owner.with_suffix(".engine"))) as stubborn:
        await await_orphans(tmp_path, "m", 60.0, clock, sleep)
        await ended(stubborn.pid)
    assert clock.monotonic() >= 1_030.0
    assert not owner.exists()


async def test_a_process_id_that_was_used_again_is_never_touched(tmp_path: Path) -> None:
    owner, clock = dead_owner(tmp_path), ManualClock()
    engine = owner.with_suffix(".engine")

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    with running("-c", STUBBORN, str(engine)) as stranger:
        engine.write_text(f"{stranger.pid} 1\n999999999 5\n4\n")
        with pytest.raises(ModelLoadError, match=f"do not end within 1 s: {stranger.pid}"):
            await await_orphans(tmp_path, "m", 1.0, clock, sleep)
        assert alive(stranger.pid)


def dead_owner(folder: Path) -> Path:
    place = folder / "m"
    place.mkdir()
    owner = place / "gone.owner"
    owner.write_text('{"pid": 1, "started": 0}')
    return owner


@pytest.mark.parametrize(
    "record", ['{"pid": 999999999, "started": 5}', '{"pid": 1, "started": 5}', "", None]
)
def test_a_process_that_comes_too_late_ends_at_once(tmp_path: Path, record: str | None) -> None:
    owner, ends = tmp_path / "late.owner", []
    if record is not None:
        owner.write_text(record)
    engine = tie(owner, lambda: ends.append("end"))
    assert ends == ["end"]
    if engine is not None:
        engine.close()


def test_a_process_that_comes_too_late_kills_itself(tmp_path: Path) -> None:
    code = "from helixflow.engine.tether import attach; attach(); print('goes on')"
    environment = {**os.environ, VARIABLE: str(tmp_path / "absent.owner")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")


def test_the_end_of_the_replica_is_noticed(tmp_path: Path) -> None:
    owner, ended = tmp_path / "r.owner", threading.Event()
    code = "import time; print('up', flush=True); time.sleep(60)"
    with running("-c", code) as replica:
        owner.write_text(f'{{"pid": {replica.pid}, "started": {started(replica.pid)}}}')
        engine = tie(owner, ended.set)
        assert engine is not None
        assert owner.with_suffix(".engine").read_text().split()[0] == str(os.getpid())
        assert not ended.is_set()
        replica.kill()
        assert ended.wait(5.0)
        engine.close()


def test_nothing_is_tied_without_a_tether_nor_in_the_replica_itself(tmp_path: Path) -> None:
    attach()
    tether = Tether.open(tmp_path, "m")
    assert os.environ[VARIABLE].startswith(str(tmp_path))
    attach()
    tether.close()
    tether.close()
    assert VARIABLE not in os.environ
    assert not list((tmp_path / "m").iterdir())


def test_closing_an_earlier_tether_leaves_the_later_one(tmp_path: Path) -> None:
    first = Tether.open(tmp_path, "m")
    second = Tether.open(tmp_path, "m")
    first.close()
    assert VARIABLE in os.environ
    second.close()
    assert VARIABLE not in os.environ
