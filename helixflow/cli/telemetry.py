"""`helixflow telemetry`: the dead letters of a stack, on its own machine.

They lie in the home folder, and so they are for whoever owns it: no key opens them, no API shows
them. The Telemetry actor tries what is wanted within a second, or once the platform runs again.

Failure behavior: asking twice is asking once; each letter is written once, whatever dies meanwhile
(telemetry/redelivery.py). Exit code 1 where a letter is refused again, or still waits at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from helixflow.cli.admin.tables import Columns, print_table, table
from helixflow.cli.command import Home, Json, command, print_json
from helixflow.cli.environment import caller_environment
from helixflow.cli.failure import CommandFailed
from helixflow.cli.target import home_folder

if TYPE_CHECKING:
    from helixflow.telemetry.dead_letters import Letter

app = typer.Typer(no_args_is_help=True, help="The flow of events, on the stack's own machine.")
letters_app = typer.Typer(no_args_is_help=True, help="Events that a sink did not take.")
app.add_typer(letters_app, name="dead-letters")

_POLL_S = 0.1
_COLUMNS: Columns = (
    ("letter", "name"), ("sink", "sink"), ("kind", "kind"), ("at", "at"), ("state", "state"),
    ("because of", "reason"),
)  # fmt: skip
_STATES = {".json": "lies there", ".replay": "waits", ".writing": "waits"}

Sink = Annotated[str | None, typer.Option(help="Only those of this sink.")]


@letters_app.command("list")
@command
def list_letters(sink: Sink = None, home: Home = None, json_: Json = False) -> None:
    """Show them. With --json, with the events in them."""
    rows = [_row(path, letter) for path, letter in _found(home, sink)]
    if json_:
        print_json({"object": "list", "data": rows})
    else:
        print_table(table(rows, _COLUMNS), Console())


@letters_app.command()
@command
def replay(
    names: Annotated[list[str] | None, typer.Argument(help="Which, by name.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    sink: Sink = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds that it may take.")] = 10.0,
    home: Home = None,
    json_: Json = False,
) -> None:
    """Have sinks take letters once more. What is taken is deleted here."""
    from helixflow.telemetry.dead_letters import LYING, QUEUED, rename

    if bool(names) == (all_ or sink is not None):
        raise CommandFailed("say which: names, or --all, or --sink")
    found = _found(home, sink)
    if unknown := set(names or ()) - {letter.name for _, letter in found}:
        raise CommandFailed(f"there is no dead letter {sorted(unknown)[0]!r}")
    meant = {letter.name for _, letter in found if not names or letter.name in names}
    for path, letter in found:
        if letter.name in meant and path.suffix == LYING:
            rename(path, QUEUED)
    left = _await(home, meant, wait)
    refused = sorted(name for name, state in left.items() if state == LYING)
    waiting = sorted(set(left) - set(refused))
    told = {"written": sorted(meant - set(left)), "refused": refused, "waiting": waiting}
    if json_:
        print_json(told)
    else:
        typer.echo(f"{len(told['written'])} letters were written")
    if refused:
        raise CommandFailed(f"refused again: {', '.join(refused)}")
    if waiting:
        raise CommandFailed(f"not tried yet: {', '.join(waiting)}")


def _await(home: Path | None, meant: set[str], wait_s: float) -> dict[str, str]:
    """The endings of those that are still there, once none of them waits or the time is over."""
    deadline, before = time.monotonic() + wait_s, dict.fromkeys(meant, "")
    while True:
        seen = {path.name.partition(".")[0]: path.suffix for path in _paths(home)}
        left = {name: seen[name] for name in meant & set(seen)}
        # One that is renamed while the folder is read may not be seen: gone is what is gone twice.
        settled = left.keys() == before.keys() and all(one == ".json" for one in left.values())
        if settled or time.monotonic() >= deadline:
            return before | left if not settled else left
        before = left
        time.sleep(_POLL_S)


def _paths(home: Path | None) -> list[Path]:
    from helixflow.telemetry.dead_letters import letters_of

    folder = letters_of(home_folder(home, caller_environment()))
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if path.suffix in _STATES]


def _found(home: Path | None, sink: str | None) -> list[tuple[Path, Letter]]:
    return [
        (path, letter)
        for path, letter in _read(_paths(home))
        if sink is None or letter.sink == sink
    ]


def _read(paths: Iterable[Path]) -> Iterable[tuple[Path, Letter]]:
    """Letters; one may be gone, or have another ending, by the time it is read."""
    from helixflow.telemetry.dead_letters import read_letter

    for path in paths:
        try:
            yield path, read_letter(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise CommandFailed(f"{path}: it cannot be read: {error}") from error


def _row(path: Path, letter: Letter) -> dict[str, Any]:
    at = letter.event.get("at")
    return {
        "name": letter.name,
        "sink": letter.sink,
        "kind": letter.event.get("kind", "unreadable"),
        "at": "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
        "state": _STATES[path.suffix],
        "reason": letter.reason,
        "event": letter.event,
    }
