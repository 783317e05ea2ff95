"""Secrets that a person gives: never as an argument, which every process of the machine can read."""

from __future__ import annotations

import sys

import typer

from helixflow.cli.failure import CommandFailed


def ask_secret(what: str) -> str:
    """A line of standard input; on a terminal it is asked for and not shown."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True))
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise CommandFailed(f"standard input holds no {what.lower()}")
    return line
