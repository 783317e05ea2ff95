"""What a load is: where requests go, when they leave, and what a right answer is.

A plan travels to a worker process as JSON (`msgspec`), and is divided over several of them.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

T = TypeVar("T")


class Target(Struct, frozen=True):
    """Where requests go. `headers` are sent with every request."""

    host: str
    port: int
    path: str
    headers: dict[str, str] = {}


class Expected(Struct, frozen=True):
    """What makes an answer right: its status, its tokens, and for streams its `[DONE]`.

    Attributes:
        refusals: whether a 429 or 503 with Retry-After is a right answer too (overload).
    """

    tokens: int
    streamed: bool = False
    status: int = 200
    refusals: bool = False


class Closed(Struct, frozen=True, tag="closed"):
    """Each connection sends its next request when its last one is answered.

    Attributes:
        connections: how many at once.
        duration_s: for how long; 0 where `requests_each` counts instead.
        requests_each: requests of each connection; 0 where `duration_s` counts instead.
    """

    connections: int
    duration_s: float = 0.0
    requests_each: int = 0


class Open(Struct, frozen=True, tag="open"):
    """Requests leave by a schedule, whatever the answers do; latency counts from the schedule.

    Attributes:
        rate_per_s: requests per second on average.
        duration_s: for how long requests are due.
        connections_max: sockets at most; a request that finds none waits, and its latency runs.
        burst: requests that leave together; 1 is a plain Poisson process.
        seed: the same seed gives the same schedule.
    """

    rate_per_s: float
    duration_s: float
    connections_max: int = 512
    burst: int = 1
    seed: int = 1


Pace: TypeAlias = Closed | Open


class Plan(Struct, frozen=True):
    """One load.

    Attributes:
        bodies: JSON requests, sent in turn.
        tokens: of each body's right answer, where they are not all `expected.tokens`.
        callers: keys, used in turn, each for one request; empty where the target's headers say who
            calls.
        timeout_s: bounds each request.
    """

    target: Target
    bodies: list[str]
    expected: Expected
    pace: Pace
    timeout_s: float = 120.0
    tokens: list[int] = []
    callers: list[str] = []

    def requests(self) -> list[tuple[Target, str, Expected]]:
        """Where, what, and the right answer, in turn: as many as there are bodies or callers,
        whichever are more."""
        counts = self.tokens or [self.expected.tokens] * len(self.bodies)
        answers = [replace(self.expected, tokens=count) for count in counts]
        headers = [{**self.target.headers, "authorization": f"Bearer {k}"} for k in self.callers]
        targets = [replace(self.target, headers=each) for each in headers] or [self.target]
        length = max(len(self.bodies), len(targets))
        triples = zip(cycle(targets), cycle(self.bodies), cycle(answers), strict=False)
        return list(islice(triples, length))


def divide(plan: Plan, processes: int) -> list[Plan]:
    """The same load as one plan per process; processes that would have no connection are left."""
    pace = plan.pace
    if isinstance(pace, Open):
        shares: list[Pace] = [
            replace(
                pace,
                rate_per_s=pace.rate_per_s / processes,
                connections_max=max(1, pace.connections_max // processes),
                seed=pace.seed * 1000 + index,
            )
            for index in range(processes)
        ]
    else:
        base, more = divmod(pace.connections, processes)
        counts = [base + (index < more) for index in range(processes)]
        shares = [replace(pace, connections=count) for count in counts if count]
    return [
        replace(
            plan,
            pace=share,
            bodies=_turned(plan.bodies, index * 7),
            tokens=_turned(plan.tokens, index * 7),
            callers=_turned(plan.callers, index * len(plan.callers) // processes),
        )
        for index, share in enumerate(shares)
    ]


def _turned(items: list[T], by: int) -> list[T]:
    by %= max(1, len(items))
    return items[by:] + items[:by]
