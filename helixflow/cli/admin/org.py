"""`helixflow org`: the organization, its roles, and the keys that sign access tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin.api import Body, path
from helixflow.cli.admin.limits import amount
from helixflow.cli.admin.session import Session, Yes, administers, confirm
from helixflow.cli.admin.tables import print_table, table
from helixflow.cli.failure import CommandFailed

app = typer.Typer(
    no_args_is_help=True, help="The organization: its name, tier, roles and signing keys."
)
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


TIER_LIMITS = (
    ("limit of the tier", "name"),
    ("amount", amount),
    ("per", "per"),
    ("model", "model"),
    ("hard", "hard"),
)


@app.command()
@administers
def show(session: Session) -> None:
    """Show the organization, its tier, and what the tier gives."""
    _show(session, session.api.get(path()))


@app.command()
@administers
def update(
    session: Session,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    tier: Annotated[str | None, typer.Option(help="A tier of the configuration.")] = None,
    weight: Annotated[
        float | None, typer.Option(help="Its share of a contended model, beside the others'.")
    ] = None,
    service_class: Annotated[
        str | None,
        typer.Option("--class", help="Its most urgent class: interactive, standard or batch."),
    ] = None,
    default_tier: Annotated[bool, typer.Option("--default-tier", help="Lift --tier.")] = False,
    default_share: Annotated[
        bool, typer.Option("--default-share", help="Lift --weight and --class.")
    ] = False,
) -> None:
    """Change what is given of the organization, and leave the rest as it is."""
    given = {"name": name, "tier": tier, "weight": weight, "service_class": service_class}
    changes: Body = {field: value for field, value in given.items() if value is not None}
    if default_tier:
        changes["tier"] = None
    if default_share:
        changes |= {"weight": None, "service_class": None}
    if not changes:
        raise CommandFailed("say what to change: --name, --tier, --weight or --class")
    _show(session, session.api.post(path(), changes))


def _show(session: Session, body: Body) -> None:
    if session.json:
        session.show(body)
        return
    limits = body.get("tier_limits") or []
    session.show({field: value for field, value in body.items() if field != "tier_limits"})
    if limits:
        session.console.print()
        print_table(table(limits, TIER_LIMITS), session.console)


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
