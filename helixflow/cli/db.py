"""`helixflow db`: the database's schema, without a platform.

Failure behavior: a database that is away or locked is exit code 1 within the store's deadline; a
migration that fails leaves the schema as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from helixflow.cli.command import Home, Json, command, print_json
from helixflow.cli.failure import CommandFailed
from helixflow.cli.tree import effective_settings
from helixflow.errors import ConfigError, Refused

if TYPE_CHECKING:
    from helixflow.storage.database import Database

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="The database's schema: forward, back, and checked.")

Config = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
CONFIG = Path("configs/embedded.yaml")


@app.command()
@command
def upgrade(
    revision: Annotated[str, typer.Argument(help="A revision; by default the newest.")] = "head",
    config: Config = CONFIG,
    home: Home = None,
) -> None:
    """Bring the schema forward."""
    _require_known(revision, "head")
    after = _on(config, home, lambda database: _upgrade(database, revision))
    typer.echo(f"the schema is at {after}")


@app.command()
@command
def downgrade(
    revision: Annotated[str, typer.Argument(help="A revision, or base for an empty database.")],
    config: Config = CONFIG,
    home: Home = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Bring the schema back; what later revisions added is dropped, with its data."""
    _require_known(revision, "base")
    if not yes and not typer.confirm(f"What was added after {revision} is dropped. Go on?"):
        raise CommandFailed("nothing was changed")
    after = _on(config, home, lambda database: _downgrade(database, revision))
    typer.echo(f"the schema is at {after or 'base: the database is empty'}")


@app.command()
@command
def current(config: Config = CONFIG, home: Home = None, json_: Json = False) -> None:
    """Say which revision the schema is at."""
    head = _revisions()[0]
    at = _on(config, home, lambda database: database.current())
    if json_:
        print_json({"current": at, "head": head})
    else:
        behind = "the newest" if at == head else f"the newest is {head}"
        typer.echo(f"{at or 'base: the database is empty'} ({behind})")


@app.command()
@command
def check(config: Config = CONFIG, home: Home = None, json_: Json = False) -> None:
    """Say whether the schema is what this version needs. Exit code 1: it is not."""
    head = _revisions()[0]
    at, drift = _on(config, home, _look)
    good = at == head and not drift
    if json_:
        print_json({"ok": good, "current": at, "head": head, "drift": drift})
    elif good:
        typer.echo(f"the schema is at {at} and as it should be")
    else:
        for line in drift:
            typer.echo(line)
    if not good:
        behind = f"at {at or 'base'}, not at {head}; run `helixflow db upgrade`"
        raise CommandFailed(f"the schema is {behind if at != head else 'not as it should be'}")


async def _upgrade(database: Database, revision: str) -> str | None:
    await database.upgrade(revision)
    return await database.current()


async def _downgrade(database: Database, revision: str) -> str | None:
    await database.downgrade(revision)
    return await database.current()


async def _look(database: Database) -> tuple[str | None, list[str]]:
    return await database.current(), await database.drift()


def _on(config: Path, home: Path | None, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the configuration's database."""
    # Its libraries take half a second to load, and only these commands need them.
    from helixflow.storage.database import Database

    settings = effective_settings(config, home, None)

    async def opened() -> T:
        database = Database.open(settings.storage, settings.home_path)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(opened())
    except Refused as refused:
        raise CommandFailed(refused.message) from refused


def _revisions() -> list[str]:
    from helixflow.storage.migrate import revisions

    return revisions()


def _require_known(revision: str, end: str) -> None:
    known = [end, *_revisions()]
    if revision not in known:
        raise ConfigError(f"there is no revision {revision!r}; known: {', '.join(known)}")
