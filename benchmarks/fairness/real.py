"""A contest on the real engine, in a process of its own: `python -m benchmarks.fairness.real fair`.

What is printed is a `Fared` as JSON, on the last line.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec

from benchmarks.fairness.contest import SLOTS, Contest, Fared, hold
from benchmarks.settings import EMBEDDED_CONFIG, models_dir
from deployments.specs import model_spec
from helixflow.clock import SystemClock
from helixflow.engine.build import build_engine
from helixflow.settings import Settings

FAIR, FIRST_COME = "fair", "first_come"
CONTEST = Contest(40, 24, 0.2, 4, "One, two, three, four,", 9, 24)


async def contest(*, fair: bool) -> Fared:
    """Load the demo model of the embedded platform, and hold the contest."""
    settings = Settings.load(EMBEDDED_CONFIG)
    spec = replace(model_spec(settings.models[0]), sequences_max=SLOTS)
    with tempfile.TemporaryDirectory(prefix="hxb-") as run_dir:
        engine = build_engine(spec, settings.engine, models_dir(), Path(run_dir))
        await engine.start(lambda _what, _far: None)
        try:
            clock = SystemClock()
            # The first answers of an engine are slow.
            warm = replace(CONTEST, first=SLOTS, second=1, trickle=1, head_start_s=0.0)
            await hold(warm, spec, engine, clock, asyncio.sleep, fair=fair)
            return await hold(CONTEST, spec, engine, clock, asyncio.sleep, fair=fair)
        finally:
            await engine.stop()


if __name__ == "__main__":
    found = asyncio.run(contest(fair=sys.argv[1:] == [FAIR]))
    print("\n" + msgspec.json.encode(found).decode(), flush=True)
