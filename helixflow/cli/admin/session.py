"""What every administering command has: the platform, and how its answers are shown."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from rich.console import Console

from helixflow.cli.admin.api import AdminApi, Body
from helixflow.cli.admin.tables import Columns, facts, print_table, secret_of, table
from helixflow.cli.command import BaseUrl, Home, Json, command, complain, print_json
from helixflow.cli.environment import caller_environment
from helixflow.cli.failure import CommandFailed
from helixflow.cli.target import ADMIN_KEY_VARIABLE, find_admin_target, home_folder

P = ParamSpec("P")

After = Annotated[str | None, typer.Option(help="Only what comes after this id.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
LIMIT = 100

SHOWN_ONCE = "this is shown once and kept nowhere; store it where secrets belong"
_WIDE = 240
_OPTIONS = {"home": Home, "base_url": BaseUrl, "json_": Json}


@dataclass(frozen=True, slots=True)
class Session:
    """One command's way to the platform and to the terminal.

    Attributes:
        base_url: the platform's address, without `/v1`.
        key: an admin key, or empty.
        json: whether programs read the answers.
    """

    base_url: str
    key: str
    json: bool
    console: Console

    @property
    def api(self) -> AdminApi:
        """The administration. Raises `CommandFailed` where no admin key is known."""
        if not self.key:
            raise CommandFailed(
                "no admin key is known for this platform: `helixflow up` writes one into the home's"
                f" env file; elsewhere set {ADMIN_KEY_VARIABLE}"
            )
        return AdminApi(self.base_url, self.key)

    @property
    def open_api(self) -> AdminApi:
        """The same for what needs no key."""
        return AdminApi(self.base_url)

    def show(self, body: Body) -> None:
        """One object."""
        if self.json:
            print_json(body)
        else:
            self.console.print(facts(body))

    def show_list(self, body: Body, columns: Columns) -> None:
        """A list of objects."""
        if self.json:
            print_json(body)
            return
        print_table(table(body["data"], columns), self.console)
        if body.get("has_more"):
            complain(f"there are more: --after {body['last_id']}")

    def show_secret(self, body: Body) -> None:
        """An object that was just made, with a secret that nobody can show again."""
        self.show(body)
        secret = secret_of(body)
        if secret is None:
            raise CommandFailed("the platform's answer holds no secret")
        if not self.json:
            # As it is: a terminal must neither wrap nor colour what is to be copied.
            typer.echo(f"\n{secret}\n")
        complain(SHOWN_ONCE)

    def say(self, body: Body, words: str) -> None:
        """What was done: in words, or what the platform answered."""
        if self.json:
            print_json(body)
        else:
            self.console.print(words, markup=False, highlight=False, soft_wrap=True)


def administers(function: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """A command that talks to the administration: adds --home, --base-url and --json."""

    @wraps(function)
    def wrapped(
        *args: Any, home: Path | None, base_url: str | None, json_: bool, **options: Any
    ) -> None:  # fmt: skip
        environ = caller_environment()
        target = find_admin_target(home_folder(home, environ), environ, base_url)
        function(Session(target.base_url, target.key, json_, console()), *args, **options)

    guarded = command(wrapped)
    # typer reads a command's options from its signature.
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    kind = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, kind, default=False if name == "json_" else None, annotation=what)
        for name, what in _OPTIONS.items()
    ]
    parameters = [*(parameter.replace(kind=kind) for parameter in own), *shared]
    guarded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return guarded


def console() -> Console:
    """Where tables go; without a terminal they are wide, so that no id is broken."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(width=_WIDE, highlight=False)


def confirm(question: str, yes: bool) -> None:
    """Ask before what cannot be taken back, unless --yes said it already."""
    if not yes and not typer.confirm(question):
        raise CommandFailed("nothing was changed")


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
