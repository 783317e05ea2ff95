"""`helixflow org`: the organization's roles, and the keys that sign its access tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin.api import path
from helixflow.cli.admin.session import Session, Yes, administers, confirm

app = typer.Typer(no_args_is_help=True, help="The organization: roles and signing keys.")
signing_app = typer.Typer(no_args_is_help=True, help="The keys that sign access tokens.")
app.add_typer(signing_app, name="signing-key")

Kid = Annotated[str, typer.Argument(help="The key's id (`kid`).")]

ROLES = (("role", "id"), ("permissions", "permissions"))
SIGNING_KEYS = (
    ("kid", "id"),
    ("state", "state"),
    ("signs from", "signs_from"),
    ("signs until", "signs_until"),
    ("verifies until", "verifies_until"),
    ("revoked", "revoked_at"),
)


@app.command()
@administers
def roles(session: Session) -> None:
    """Show what each role permits."""
    session.show_list(session.api.get(path("roles")), ROLES)


@signing_app.command("list")
@administers
def list_keys(session: Session) -> None:
    """Show the signing keys."""
    session.show_list(session.api.get(path("signing_keys")), SIGNING_KEYS)


@signing_app.command()
@administers
def rotate(session: Session) -> None:
    """Sign with a fresh key from now on; what was signed before stays valid."""
    session.show(session.api.post(path("signing_keys", "rotate"), {}))


@signing_app.command()
@administers
def revoke(session: Session, kid: Kid, yes: Yes = False) -> None:
    """Refuse, from now on, every token that a key signed."""
    confirm(f"Every token that {kid} signed ends now. Go on?", yes)
    body = session.api.post(path("signing_keys", kid, "revoke"), {})
    session.say(body, f"{kid} is revoked; every token that it signed is refused within a second")
