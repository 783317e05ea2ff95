"""Systems that are not started as a stack: this process, and databases with an identity store."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.systems.ports import Running, StartFailed, Steady
from benchmarks.systems.processes import Family
from helixflow.testing.postgres import PostgresServer, find_programs

HOME = "home"
URL = "url"
_FAIR = "fair_queue"


class ThisProcess(Steady):
    """Implements `System` where there is nothing to start."""

    name = "helixflow"
    title = "HelixFlow, in process"

    def __init__(self) -> None:
        self.family = Family()

    def start(self, folder: Path) -> Running:
        return Running("", 0, 0.0)

    def stop(self) -> None:
        """Nothing was started."""


class FirstComeReplica(ThisProcess):
    """Implements `System`: what runs in this process, without its fair queue."""

    name = "first_come"
    title = "first come, first served"

    def start(self, folder: Path) -> Running:
        return Running("", 0, 0.0, facts={_FAIR: False})


def fairly(running: Running) -> bool:
    """Whether a replica of this system has its fair queue."""
    return bool(running.facts.get(_FAIR, True))


class Sqlite(Steady):
    """Implements `System` for SQLite files; `private` says where they lie."""

    name = "sqlite"
    title = "SQLite"

    def __init__(self) -> None:
        self.family = Family()

    def start(self, folder: Path) -> Running:
        private = {HOME: str(folder), URL: f"sqlite:///{folder}/{{database}}.db"}
        return Running("", 0, 0.0, facts={"synchronous": "FULL", "journal": "WAL"}, private=private)

    def stop(self) -> None:
        """The files go with their folder."""


class Postgres(Steady):
    """Implements `System` for a PostgreSQL server of its own, with fsync and checksums on."""

    name = "postgres"
    title = "PostgreSQL"

    def __init__(self) -> None:
        self.family = Family()
        self._server: PostgresServer | None = None

    def start(self, folder: Path) -> Running:
        programs = find_programs()
        if programs is None:
            raise StartFailed("no PostgreSQL is installed")
        begin = time.monotonic()
        self._server = PostgresServer(programs)
        self._server.__enter__()
        private = {HOME: str(folder), URL: self._server.url("{database}")}
        return Running("", 0, time.monotonic() - begin, private=private)

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.__exit__(None, None, None)
