"""What all commands share: their options, their exit codes, their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from helixflow.cli.failure import CONFIG_EXIT, INTERRUPTED_EXIT, CommandFailed
from helixflow.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")

Home = Annotated[Path | None, typer.Option(help="The stack's folder; by default .helixflow here.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
BaseUrl = Annotated[str | None, typer.Option(help="The platform's address.")]


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Turns our errors into one line on standard error and an exit code."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ConfigError as error:
            complain(str(error))
            raise typer.Exit(CONFIG_EXIT) from error
        except CommandFailed as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            complain("interrupted")
            raise typer.Exit(INTERRUPTED_EXIT) from error

    return guarded


def print_json(value: Any) -> None:
    """For programs, on standard output."""
    typer.echo(json.dumps(value, indent=2))


def complain(message: str) -> None:
    """For the person at the terminal, on standard error."""
    typer.echo(f"helixflow: {message}", err=True)
