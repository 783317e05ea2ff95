"""When requests should leave in an open loop: pure schedules."""

from __future__ import annotations

import random

from benchmarks.load.plan import Open


def schedule(pace: Open) -> list[float]:
    """Due times in seconds from the start, ascending, all below `pace.duration_s`.

    Bursts of `pace.burst` requests start as a Poisson process of rate `rate_per_s / burst`, so
    that the mean rate is `rate_per_s` for every burst size. The gaps of a Poisson process are
    exponential (Kingman, "Poisson Processes", 1993, ch. 4).
    """
    if pace.rate_per_s <= 0:
        raise ValueError("an open loop needs a rate above 0")
    draw = random.Random(pace.seed)
    due: list[float] = []
    at = draw.expovariate(pace.rate_per_s / pace.burst)
    while at < pace.duration_s:
        due.extend([at] * pace.burst)
        at += draw.expovariate(pace.rate_per_s / pace.burst)
    return due
