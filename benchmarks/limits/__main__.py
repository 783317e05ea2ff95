"""`python -m benchmarks.limits`: what limits cost in one process, and how exact they are."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.limits.measures import accuracy, cost

_HEAD = "limits/request  callers  counters   ingress µs  store µs  exchanges/1000  waits/1000"
_ROW = "{:>14}  {:>7}  {:>8}   {:>10.1f}  {:>8.1f}  {:>14.1f}  {:>10.1f}"


async def _costs(seconds: int, largest: int) -> None:
    print(_HEAD)
    for quotas, active, counters in (
        (1, 1, 0), (5, 1, 0), (10, 1, 0), (20, 1, 0),
        (5, 10, 10), (5, 1_000, 1_000), (5, 10_000, 100_000), (5, 10_000, 1_000_000),
    ):  # fmt: skip
        if max(active, counters) <= largest:
            got = await cost(quotas, active, counters, seconds)
            figures = (got.ingress_us, got.store_us, got.exchanges, got.misses)
            print(_ROW.format(quotas, active, counters, *figures), flush=True)


async def _accuracies() -> None:
    print("\nledgers  limit  offered  admitted  over  unavailable")
    for ledgers in (1, 2, 4, 8):
        for limit in (10, 100, 1_000):
            got = await accuracy(ledgers, limit, 4_000)
            counts = f"{got.offered:>7}  {got.admitted:>8}  {got.over:>4}  {got.unavailable:>11}"
            print(f"{ledgers:>7}  {limit:>5}  {counts}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="simulated seconds of each row")
    parser.add_argument("--largest", type=int, default=1_000_000, help="leave larger rows out")
    arguments = parser.parse_args()
    asyncio.run(_costs(arguments.seconds, arguments.largest))
    asyncio.run(_accuracies())


if __name__ == "__main__":
    main()
