"""The load generator from outside: as many processes as asked for, started at one instant.

Failure behavior: a worker that dies, or that is silent for longer than its load can take, is ended
and raises `LoadFailed` with the last it said.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Closed, Plan, divide

_ROOT = Path(__file__).resolve().parents[2]
_LEAD_S = 0.2


class LoadFailed(Exception):
    """The generator itself could not do its work."""


def drive(plan: Plan, processes: int = 1) -> Outcome:
    """Drive a load and give every sample of it. Blocks until it is over."""
    workers = [_start(share) for share in divide(plan, processes)]
    limit_s = _limit_s(plan)
    alarm = threading.Timer(limit_s, _end, [workers])
    alarm.start()
    try:
        for worker in workers:
            if _line(worker) != "ready":
                raise LoadFailed(_said(worker))
        begin = time.monotonic() + _LEAD_S
        for worker in workers:
            _tell(worker, f"{begin!r}\n")
        return Outcome.merge([_outcome(worker) for worker in workers])
    finally:
        alarm.cancel()
        _end(workers)
        for worker in workers:
            worker.communicate()


def _end(workers: list[subprocess.Popen[str]]) -> None:
    for worker in workers:
        worker.kill()


def _start(plan: Plan) -> subprocess.Popen[str]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )
    _tell(worker, msgspec.json.encode(plan).decode() + "\n")
    return worker


def _tell(worker: subprocess.Popen[str], text: str) -> None:
    assert worker.stdin is not None
    try:
        worker.stdin.write(text)
        worker.stdin.flush()
    except BrokenPipeError:
        raise LoadFailed(_said(worker)) from None


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def _outcome(worker: subprocess.Popen[str]) -> Outcome:
    line = _line(worker)
    if not line:
        raise LoadFailed(_said(worker))
    return msgspec.json.decode(line, type=Outcome)


def _said(worker: subprocess.Popen[str]) -> str:
    worker.kill()
    _, errors = worker.communicate()
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else "a load worker ended without a word"


def _limit_s(plan: Plan) -> float:
    pace = plan.pace
    rounds = max(1, pace.requests_each) if isinstance(pace, Closed) else 1
    return 30.0 + pace.duration_s + rounds * plan.timeout_s
