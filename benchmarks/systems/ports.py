"""What every measured system is to the runner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field

from benchmarks.load.plan import Target
from benchmarks.systems.processes import Family


class StartFailed(Exception):
    """A system did not come up. The message is one line for the report, and never a secret."""


class Running(Struct):
    """A system that answers.

    Attributes:
        host, port: where it listens.
        headers: what a request needs; they may hold a key and are never written down.
        ready_s: seconds from the command until it answered.
        first_token_s: seconds from the command until the first token of a real answer; 0 where the
            system does not ask for one by itself.
        facts: flags and settings worth reading beside its figures.
        private: what a probe needs beside an address, by name (an admin key, a database's URL);
            never written down.
        change: gives what runs these models beside its own, instead of those that it was given
            before (raises StartFailed); None where that cannot be done.
    """

    host: str
    port: int
    ready_s: float
    first_token_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    private: dict[str, str] = field(default_factory=dict)
    change: Callable[[Sequence[Mapping[str, Any]]], None] | None = None

    def target(self, path: str) -> Target:
        """Where a load goes."""
        return Target(self.host, self.port, path, self.headers)


class System(Protocol):
    """A system under test.

    Attributes:
        name: a short key, `title` what people read.
        family: its processes.
        base: what is started, in words; a visit goes on with the system that the one before it has
            started if both have the same. Empty for a system that always starts anew.
        start_s: about how long a start and a stop take together on two cores.
    """

    name: str
    title: str
    family: Family
    base: str
    start_s: float

    def start(self, folder: Path) -> Running:
        """Start on free loopback ports and wait until it answers; logs go into `folder`.

        Raises StartFailed. `stop` must be called in every case.
        """
        ...

    def become(self, other: System) -> None:
        """Turn what runs into `other`, which has the same `base`. Raises StartFailed."""
        ...

    def stop(self) -> None:
        """End what `start` began, by process ids."""
        ...


class Steady:
    """Of systems of which one is like the other wherever their `base` is the same."""

    base = ""
    start_s = 0.0

    def become(self, other: System) -> None:
        """See `System.become`: it is that already."""
