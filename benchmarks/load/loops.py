"""From a plan to the loop that drives it."""

from __future__ import annotations

from benchmarks.load.closed_loop import ClosedLoop
from benchmarks.load.loop import Loop
from benchmarks.load.open_loop import OpenLoop
from benchmarks.load.plan import Closed, Plan


def loop_for(plan: Plan) -> Loop:
    """The loop that a plan's pace asks for."""
    pace = plan.pace
    return ClosedLoop(plan, pace) if isinstance(pace, Closed) else OpenLoop(plan, pace)
