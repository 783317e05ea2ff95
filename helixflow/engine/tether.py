"""Ties engine processes to their replica: they end when it ends, whatever ends it.

A replica opens a `Tether` before it starts an engine. Each engine process calls `attach` as it starts
(before it imports vLLM; and again as a vLLM plugin, for processes that vLLM starts by other ways),
which waits in a thread for the replica's end and then kills its own process. What runs is on disk
too, in two files per replica: `<id>.owner`, locked by the replica while it lives, and `<id>.engine`,
locked by every engine process and listing their process ids.

Failure behavior: a replacement calls `await_orphans` first. It waits until nobody holds the dead
replica's engine file, kills the listed processes after half of the time (each checked by its start
time, so that a reused process id is never touched), and raises `ModelLoadError` after all of it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import multiprocessing
import os
import select
import signal
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Self

from helixflow.clock import Clock, SystemClock
from helixflow.errors import ModelLoadError

VARIABLE = "HELIXFLOW_TETHER"
_POLL_S = 0.05
_held: list[IO[str]] = []


class Tether:
    """What a replica holds while its engine runs."""

    def __init__(self, owner: Path, lock: IO[str]) -> None:
        self._owner = owner
        self._lock = lock

    @classmethod
    def open(cls, folder: Path, model: str) -> Self:
        """Tie the engine processes that this process starts from now on."""
        place = folder / model
        place.mkdir(parents=True, exist_ok=True)
        owner = place / f"{uuid.uuid4().hex}.owner"
        lock = owner.open("w", encoding="ascii")
        fcntl.flock(lock, fcntl.LOCK_EX)
        json.dump({"pid": os.getpid(), "started": started(os.getpid())}, lock)
        lock.flush()
        owner.with_suffix(".engine").touch()
        os.environ[VARIABLE] = str(owner)
        _process_config()["helixflow_tether"] = _AttachFirst()
        return cls(owner, lock)

    def close(self) -> None:
        """Let go, once the engine has ended. Calling it twice is harmless."""
        if os.environ.get(VARIABLE) == str(self._owner):
            del os.environ[VARIABLE]
            _process_config().pop("helixflow_tether", None)
        _remove(self._owner)
        self._lock.close()


class _AttachFirst:
    """Unpickled in a spawned process before its work is, and so before vLLM is imported there."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return (attach, ())


def _process_config() -> dict[str, object]:
    """What `multiprocessing` hands from a process to those it spawns (authkey and the like)."""
    config: dict[str, object] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    return config


def attach() -> None:
    """Tie this process to the replica that the environment names; does nothing without one.

    Entry point `vllm.general_plugins`. Calling it again, or in the replica itself, is harmless.
    """
    name = os.environ.get(VARIABLE)
    if name is None or _held:
        return
    engine = tie(Path(name), _end)
    if engine is not None:
        _held.append(engine)


def tie(owner: Path, end: Callable[[], None]) -> IO[str] | None:
    """Call `end` once the replica of an owner file is gone, at once if it is gone already.

    Returns the locked engine file, which is held for as long as this process runs; None in the
    replica itself.
    """
    try:
        record = json.loads(owner.read_text(encoding="ascii"))
        if record["pid"] == os.getpid() and record["started"] == started(os.getpid()):
            return None
        replica = os.pidfd_open(record["pid"])
        engine = _enlisted(owner.with_suffix(".engine"))
    except (OSError, ValueError):
        end()
        return None
    if started(record["pid"]) != record["started"]:
        os.close(replica)
        end()
    else:
        threading.Thread(target=_follow, args=(replica, end), name="tether", daemon=True).start()
    return engine


def _enlisted(file: Path) -> IO[str]:
    """The engine file, locked, with this process in its list."""
    engine = file.open("a", encoding="ascii")
    fcntl.flock(engine, fcntl.LOCK_SH)
    engine.write(f"{os.getpid()} {started(os.getpid())}\n")
    engine.flush()
    return engine


def _follow(replica: int, end: Callable[[], None]) -> None:
    """Wait for the replica's end; a pidfd becomes readable then (pidfd_open(2))."""
    poll = select.poll()
    poll.register(replica, select.POLLIN)
    poll.poll()
    os.close(replica)
    end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def await_orphans(
    folder: Path,
    model: str,
    timeout_s: float,
    clock: Clock | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Return when no engine process of a dead replica of `model` runs on this node."""
    clock = clock or SystemClock()
    began = clock.monotonic()
    for owner in _dead(folder / model):
        engine = owner.with_suffix(".engine")
        killed = False
        while not _free(engine):
            waited = clock.monotonic() - began
            if waited >= timeout_s:
                raise ModelLoadError(
                    f"Engine processes of an earlier replica of {model} do not end within "
                    f"{timeout_s:g} s: {', '.join(str(pid) for pid, _ in _listed(engine))}."
                )
            if waited >= timeout_s / 2 and not killed:
                killed = True
                _kill(engine)
            await sleep(_POLL_S)
        _remove(owner)


def _dead(place: Path) -> list[Path]:
    """Owner files whose replica is gone."""
    return [owner for owner in sorted(place.glob("*.owner")) if _free(owner)]


def _free(file: Path) -> bool:
    """Whether nobody holds a lock on the file (or it is gone)."""
    try:
        with file.open("r", encoding="ascii") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True


def _listed(engine: Path) -> list[tuple[int, int]]:
    """Process ids and start times in an engine file; a line cut short by a crash is left out."""
    lines = [line.split() for line in engine.read_text(encoding="ascii").splitlines()]
    return [(int(line[0]), int(line[1])) for line in lines if len(line) == 2]


def _kill(engine: Path) -> None:
    for pid, since in _listed(engine):
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if started(pid) == since:
                signal.pidfd_send_signal(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            os.close(process)


def started(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where there is none.

    Field 22 of /proc/PID/stat, counted after the name in parentheses (proc(5)).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def _remove(owner: Path) -> None:
    owner.with_suffix(".engine").unlink(missing_ok=True)
    owner.unlink(missing_ok=True)
