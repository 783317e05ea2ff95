"""Ending a stack: gracefully as far as that goes, and completely in any case.

Requests that run are given the drain time, and telemetry a moment to write what they left. Then
every process that carries the stack's mark is ended, and nothing else: a Ray, HAProxy or vLLM that
somebody else runs here is never touched.

Failure behavior: a dashboard that does not answer is passed over, and so is telemetry that does not
finish (its journals are shipped after the next start); processes that cannot be ended (another
user's, at worst) are named in the error, and the record stays so that it can be tried again.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from helixflow.cli.failure import CommandFailed
from helixflow.cli.processes import end_all
from helixflow.cli.record import Stack, alone, load_stack
from helixflow.cli.serve_api import ServeApi
from helixflow.cli.steps import Steps

_SHUTDOWN_SPARE_S = 15.0
_TELEMETRY_S = 15.0
_RAY_STARTS_S = 15.0
_CONNECT_S = 2.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What was done: whether Serve drained in time, and how many processes were ended."""

    drained: bool
    processes: int


def finish_telemetry(stack: Stack) -> None:
    """Let telemetry write what it was given; at best, and within a time."""
    with suppress(OSError):  # Ray would try to reach it for a long time
        socket.create_connection(("127.0.0.1", stack.ports.gcs), _CONNECT_S).close()
        _run_finish(stack)


def _run_finish(stack: Stack) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-m", "deployments.telemetry_end", str(_TELEMETRY_S)],
            env={**own, **stack.ray_environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TELEMETRY_S + _RAY_STARTS_S,
            check=False,
        )


def take_down(
    home: Path,
    drain_s: float,
    steps: Steps,
    finish: Callable[[Stack], None] = finish_telemetry,
) -> Ended | None:
    """End the stack of this home folder; None where there is none.

    Args:
        finish: lets telemetry finish, before everything ends.
    """
    if not home.is_dir():
        return None
    with alone(home):
        stack = load_stack(home)
        if stack is None:
            return None
        with steps.step("Finishing what runs"):
            drained = _drain(stack, drain_s)
            finish(stack)
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
