"""Ending a stack: gracefully as far as that goes, and completely in any case.

Requests that run are given the drain time. Then every process that carries the stack's mark is
ended, and nothing else: a Ray, HAProxy or vLLM that somebody else runs here is never touched.

Failure behavior: a dashboard that does not answer is passed over; processes that cannot be ended
(another user's, at worst) are named in the error, and the record stays so that it can be tried again.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from helixflow.cli.failure import CommandFailed
from helixflow.cli.processes import end_all
from helixflow.cli.record import Stack, alone, load_stack
from helixflow.cli.serve_api import ServeApi
from helixflow.cli.steps import Steps

_SHUTDOWN_SPARE_S = 15.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What was done: whether Serve drained in time, and how many processes were ended."""

    drained: bool
    processes: int


def take_down(home: Path, drain_s: float, steps: Steps) -> Ended | None:
    """End the stack of this home folder; None where there is none."""
    if not home.is_dir():
        return None
    with alone(home):
        stack = load_stack(home)
        if stack is None:
            return None
        with steps.step("Finishing what runs"):
            drained = _drain(stack, drain_s)
        with steps.step("Ending the processes"):
            return Ended(drained, clear(stack))


def clear(stack: Stack) -> int:
    """End every process of a stack, keep its logs, take its files and its record away.

    Returns how many processes were ended.
    """
    ended, left = end_all(stack.id, stack.processes)
    if left:
        names = ", ".join(f"{process.pid}" for process in left)
        raise CommandFailed(f"these processes of the stack could not be ended: {names}")
    _keep_logs(stack)
    shutil.rmtree(stack.temp, ignore_errors=True)
    stack.token_file.unlink(missing_ok=True)
    stack.forget()
    return ended


def _drain(stack: Stack, drain_s: float) -> bool:
    if not stack.token_file.exists():
        return False
    api = ServeApi(stack.dashboard_url, stack.token_file.read_text(encoding="utf-8"))
    return api.alive() and api.shut_down(drain_s + _SHUTDOWN_SPARE_S)


def _keep_logs(stack: Stack) -> None:
    """The logs of the last session stay in the home folder; those before it go."""
    if stack.logs.is_dir():
        shutil.rmtree(stack.kept_logs, ignore_errors=True)
        shutil.copytree(stack.logs, stack.kept_logs, symlinks=True, ignore_dangling_symlinks=True)
