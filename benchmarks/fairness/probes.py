"""The contest as probes: on the echo engine, in time that passes step by step, and on the real one.

Failure behavior: a contest that does not end in time, or whose process fails, is a `LoadFailed`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

import msgspec

from benchmarks.fairness.contest import Contest, Fared, hold, stepped
from benchmarks.fairness.real import FAIR, FIRST_COME
from benchmarks.load.crew import LoadFailed
from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.in_process import fairly
from benchmarks.systems.ports import Running
from helixflow.engine.echo import EchoEngine
from helixflow.inference.model_spec import EchoPace, EngineKind, ModelSpec
from helixflow.testing.timeline import Timeline

_REAL_S = 300.0
_PACE_PER_S = 32.0
CONTEST = Contest(80, 80, 4.0, 8, "one two three four five six seven eight", 8, 32)


class EchoContest:
    """Implements `Probe`: exact, and the same at every repeat."""

    name = "echo"
    title = f"echo engine, {_PACE_PER_S:g} tokens/s for each sequence (its clock is set by hand)"

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat makes its replica anew."""

    def measure(self, running: Running) -> Probed:
        """One contest."""
        return _probed(asyncio.run(_echo(fair=fairly(running))))


class RealContest:
    """Implements `Probe`: SmolLM2 on vLLM, in a process of its own."""

    name = "real"
    title = "vLLM with SmolLM2-135M"

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat starts an engine."""

    def measure(self, running: Running) -> Probed:
        """Start an engine, and hold one contest on it."""
        which = FAIR if fairly(running) else FIRST_COME
        command = [sys.executable, "-m", "benchmarks.fairness.real", which]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_REAL_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"the contest took longer than {_REAL_S:g} s") from error
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no word"]
            raise LoadFailed(f"the contest failed: {last[0][:200]}")
        return _probed(msgspec.json.decode(done.stdout.splitlines()[-1], type=Fared))


async def _echo(*, fair: bool) -> Fared:
    spec = ModelSpec("echo-1", EngineKind.ECHO, echo=EchoPace(tokens_per_s=_PACE_PER_S))
    timeline = Timeline()
    engine = EchoEngine(spec, clock=timeline, sleep=timeline.sleep)
    contest = hold(CONTEST, spec, engine, timeline, timeline.sleep, fair=fair)
    return await stepped(contest, timeline.step)


def _probed(fared: Fared) -> Probed:
    latency_ms = [wait_s * 1e3 for wait_s in fared.waits_s]
    return Probed(fared.figures, Outcome(latency_ms=latency_ms, curves=fared.curves))
