"""One process of the load generator: `python -m benchmarks.load.worker`.

Reads a plan (one line of JSON) from its input, opens its connections and writes `ready`; then reads
the instant to begin at (monotonic seconds, the same clock in every process of a machine), drives
the load, and writes the outcome as one line of JSON.

Failure behavior: what cannot even start ends with a non-zero status and a message on stderr.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time

import msgspec
import uvloop

from benchmarks.load.lag import watch
from benchmarks.load.loops import loop_for
from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Plan


async def drive(plan: Plan) -> Outcome:
    """Open, wait for the signal, drive."""
    loop = loop_for(plan)
    await loop.open()
    print("ready", flush=True)
    begin = float(await asyncio.to_thread(sys.stdin.readline))
    gc.collect()
    gc.freeze()
    gc.disable()
    cpu = _cpu_s()
    running = asyncio.ensure_future(loop.run(begin))
    lag_ms = Outcome().lag_ms
    watching = asyncio.ensure_future(watch(lag_ms))
    outcome = await running
    watching.cancel()
    outcome.wall_s = time.monotonic() - begin
    outcome.cpu_s = _cpu_s() - cpu
    outcome.lag_ms = lag_ms
    return outcome


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Entry."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    outcome = uvloop.run(drive(plan))
    # A file of its own: with PYTHONUNBUFFERED set, a write to sys.stdout may be a partial one.
    with os.fdopen(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main()
