"""Which processes belong to a stack, and their end.

A process belongs to a stack when the stack's id is in its environment, which every child inherits
and nothing of ours drops; or when it was recorded, by pid and creation time, so that a pid that
the system gave to something else is never touched.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable

import psutil

from helixflow.cli.record import MARKER

_ROUNDS = 5
_RAYLET = "raylet"
_PAUSE_S = 0.05


def processes_of(stack_id: str, recorded: Iterable[tuple[int, float]] = ()) -> list[psutil.Process]:
    """The processes of a stack that are alive, this one left out."""
    known = dict(recorded)
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error):
            born = known.get(process.pid)
            ours = born is not None and abs(process.create_time() - born) < 1.0
            if (ours or _marker(process) == stack_id) and _alive(process):
                found.append(process)
    return found


def is_alive(recorded: Iterable[tuple[int, float]]) -> bool:
    """Whether every one of these recorded processes is still there."""
    for pid, born in recorded:
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - born) >= 1.0 or not _alive(process):
                return False
        except psutil.Error:
            return False
    return True


def identify(processes: Iterable[psutil.Process]) -> tuple[tuple[int, float], ...]:
    """`(pid, creation time)` of each."""
    return tuple((process.pid, process.create_time()) for process in processes)


def pillars(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Ray's own servers among these: without one of them the stack is no stack."""
    names = {"gcs_server", _RAYLET}
    chosen = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.name() in names:
                chosen.append(process)
    return chosen


def end_all(
    stack_id: str, recorded: Iterable[tuple[int, float]] = (), grace_s: float = 1.0
) -> tuple[int, list[psutil.Process]]:
    """End every process of a stack: asked first, then killed.

    The grace is short: what was worth finishing is finished before (`down`), and raylet and GCS
    server would wait for each other. Looks again until nothing is found, because a raylet that is
    still alive starts workers anew.
    Returns how many were ended and those that could not be (another user's, at worst).
    """
    recorded = tuple(recorded)
    ended: set[int] = set()
    for turn in range(_ROUNDS):
        found = processes_of(stack_id, recorded)
        if not found:
            return len(ended), []
        ended.update(process.pid for process in found)
        if turn == 0:
            _ask(found, grace_s)
            found = processes_of(stack_id, recorded)
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=grace_s)
        time.sleep(_PAUSE_S)
    return len(ended), processes_of(stack_id, recorded)


def _ask(found: list[psutil.Process], grace_s: float) -> None:
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(found, timeout=grace_s)


def _marker(process: psutil.Process) -> str | None:
    value: str | None = process.environ().get(MARKER)
    return value


def _alive(process: psutil.Process) -> bool:
    return bool(process.status() != psutil.STATUS_ZOMBIE)
