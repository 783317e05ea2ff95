"""`helixflow db`: the schemas of all databases, without a platform.

Failure behavior: a database that is away or locked is exit code 1 within the store's deadline; a
migration that fails leaves the schema as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from helixflow.cli.command import Home, Json, command, print_json
from helixflow.cli.failure import CommandFailed
from helixflow.cli.tree import effective_settings
from helixflow.errors import ConfigError, Refused
from helixflow.settings import Settings, StorageSettings

if TYPE_CHECKING:
    from helixflow.storage.database import Database

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="The schemas: forward, back, and checked.")


class Which(StrEnum):
    """The databases: who calls and what they may do; what happened; keys that can be erased; content
    that projects keep."""

    IDENTITY = "identity"
    TELEMETRY = "telemetry"
    PERSONS = "persons"
    CONTENT = "content"


Config = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
Only = Annotated[
    Which | None, typer.Option("--database", "-d", help="One of them; by default all.")
]
CONFIG = Path("configs/embedded.yaml")


@app.command()
@command
def upgrade(
    revision: Annotated[str, typer.Argument(help="A revision; by default the newest.")] = "head",
    database: Only = None,
    config: Config = CONFIG,
    home: Home = None,
) -> None:
    """Bring the schema forward."""
    for which in _meant(database, revision, "head"):
        after = _on(which, config, home, lambda opened: _upgrade(opened, revision))
        typer.echo(f"{which}: the schema is at {after}")


@app.command()
@command
def downgrade(
    revision: Annotated[str, typer.Argument(help="A revision, or base for an empty database.")],
    database: Only = None,
    config: Config = CONFIG,
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Bring the schema of one database back; what later revisions added is dropped, with its data."""
    if database is None:
        raise ConfigError("say which: " + " or ".join(f"--database {which}" for which in Which))
    _meant(database, revision, "base")
    question = f"What was added to {database} after {revision} is dropped. Go on?"
    if not yes and not typer.confirm(question):
        raise CommandFailed("nothing was changed")
    after = _on(database, config, home, lambda opened: _downgrade(opened, revision))
    typer.echo(f"{database}: the schema is at {after or 'base: the database is empty'}")


@app.command()
@command
def current(
    database: Only = None, config: Config = CONFIG, home: Home = None, json_: Json = False
) -> None:
    """Say which revision the schema is at."""
    told = {}
    for which in _chosen(database):
        head = _revisions(which)[0]
        at = _on(which, config, home, lambda opened: opened.current())
        told[which.value] = {"current": at, "head": head}
        if not json_:
            behind = "the newest" if at == head else f"the newest is {head}"
            typer.echo(f"{which}: {at or 'base: the database is empty'} ({behind})")
    if json_:
        print_json(told)


@app.command()
@command
def check(
    database: Only = None, config: Config = CONFIG, home: Home = None, json_: Json = False
) -> None:
    """Say whether the schema is what this version needs. Exit code 1: it is not."""
    told, faults = {}, []
    for which in _chosen(database):
        head = _revisions(which)[0]
        at, drift = _on(which, config, home, _look)
        good = at == head and not drift
        told[which.value] = {"ok": good, "current": at, "head": head, "drift": drift}
        if not json_:
            lines = [f"the schema is at {at} and as it should be"] if good else drift
            for line in lines:
                typer.echo(f"{which}: {line}")
        if not good:
            behind = f"at {at or 'base'}, not at {head}; run `helixflow db upgrade`"
            state = behind if at != head else "not as it should be"
            faults.append(f"{which}: the schema is {state}")
    if json_:
        print_json(told)
    if faults:
        raise CommandFailed("; ".join(faults))


async def _upgrade(database: Database, revision: str) -> str | None:
    await database.upgrade(revision)
    return await database.current()


async def _downgrade(database: Database, revision: str) -> str | None:
    await database.downgrade(revision)
    return await database.current()


async def _look(database: Database) -> tuple[str | None, list[str]]:
    return await database.current(), await database.drift()


def _on(
    which: Which, config: Path, home: Path | None, work: Callable[[Database], Awaitable[T]]
) -> T:
    """Do something with a database of the configuration."""
    # Its libraries take half a second to load, and only these commands need them.
    from helixflow.storage.database import Database
    from helixflow.storage.schema import SCHEMAS

    settings = effective_settings(config, home, None)

    async def opened() -> T:
        database = Database.open(_storage(which, settings), settings.home_path, SCHEMAS[which])
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(opened())
    except Refused as refused:
        raise CommandFailed(refused.message) from refused


def _storage(which: Which, settings: Settings) -> StorageSettings:
    """Where a database is."""
    from helixflow.storage.audit_stores import persons_storage
    from helixflow.storage.contents import content_storage

    match which:
        case Which.IDENTITY:
            return settings.storage
        case Which.TELEMETRY:
            return settings.telemetry.storage
        case Which.PERSONS:
            return persons_storage(settings.telemetry)
        case Which.CONTENT:
            return content_storage(settings.telemetry)


def _chosen(database: Which | None) -> list[Which]:
    return list(Which) if database is None else [database]


def _revisions(which: Which) -> list[str]:
    from helixflow.storage.migrate import revisions
    from helixflow.storage.schema import SCHEMAS

    return revisions(SCHEMAS[which])


def _meant(database: Which | None, revision: str, end: str) -> list[Which]:
    """The databases, where the revision is known to them; only `end` is to more than one."""
    if database is None and revision != end:
        raise ConfigError(f"a revision belongs to one database: add --database to {revision!r}")
    for which in _chosen(database):
        known = [end, *_revisions(which)]
        if revision not in known:
            raise ConfigError(f"there is no revision {revision!r}; known: {', '.join(known)}")
    return _chosen(database)
