"""`helixflow key`: API keys of projects, and admin keys."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from helixflow.cli.admin.api import AdminApi, Body, path
from helixflow.cli.admin.places import InProject, the_project
from helixflow.cli.admin.session import LIMIT, After, Limit, Session, administers
from helixflow.cli.admin.tables import Columns, day
from helixflow.cli.failure import CommandFailed

app = typer.Typer(no_args_is_help=True, help="API keys of projects, and admin keys.")

KeyId = Annotated[str, typer.Argument(help="The key's id.")]
Admin = Annotated[bool, typer.Option("--admin", help="An admin key of the organization.")]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="A permission; repeat it.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="An allowed model; repeat it.")]
Cidrs = Annotated[list[str] | None, typer.Option("--cidr", help="An allowed network; repeat it.")]
Expires = Annotated[
    str | None, typer.Option(help="When it ends: 90d, 12h, 30m, a date or a time, or never.")
]

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def state(key: Mapping[str, Any], now: float | None = None) -> str:
    """Whether a key can be used."""
    if key.get("revoked_at") is not None:
        return "revoked"
    end = key.get("expires_at")
    moment = time.time() if now is None else now
    return "expired" if isinstance(end, int | float) and end <= moment else "active"


KEYS: Columns = (
    ("id", "id"),
    ("name", "name"),
    ("key", "redacted_value"),
    ("state", state),
    ("expires", lambda key: "never" if key.get("expires_at") is None else day(key["expires_at"])),
    ("last used", lambda key: day(key.get("last_used_at"))),
)


@app.command("list")
@administers
def list_(
    session: Session,
    project: InProject = None,
    admin: Admin = False,
    after: After = None,
    limit: Limit = LIMIT,
) -> None:
    """Show the keys, revoked and expired ones included."""
    api = session.api
    session.show_list(api.page(_keys(api, project, admin=admin), after, limit), KEYS)


@app.command()
@administers
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    project: InProject = None,
    admin: Admin = False,
    service_account: Annotated[
        str | None, typer.Option(help="A service account's id: a key of its own.")
    ] = None,
    scope: Scopes = None,
    model: Models = None,
    cidr: Cidrs = None,
    expires: Expires = None,
) -> None:
    """Make a key; its text is shown once."""
    api = session.api
    body: Body = {"name": name, **_wished(scope, model, cidr, expires, time.time())}
    if service_account is not None:
        body["service_account_id"] = service_account
    session.show_secret(api.post(_keys(api, project, admin=admin), body))


@app.command()
@administers
def show(session: Session, key: KeyId, project: InProject = None, admin: Admin = False) -> None:
    """Show one key; never its text."""
    api = session.api
    session.show(api.get(_keys(api, project, key, admin=admin)))


@app.command()
@administers
def update(
    session: Session,
    key: KeyId,
    project: InProject = None,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    scope: Scopes = None,
    model: Models = None,
    cidr: Cidrs = None,
    expires: Expires = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="Lift --model.")] = False,
    all_networks: Annotated[bool, typer.Option("--all-networks", help="Lift --cidr.")] = False,
) -> None:
    """Change what is given, and leave the rest of a project's key as it is."""
    changes = _wished(scope, model, cidr, expires, time.time())
    if name is not None:
        changes["name"] = name
    if all_models:
        changes["allowed_models"] = None
    if all_networks:
        changes["allowed_cidrs"] = None
    if not changes:
        raise CommandFailed("say what to change: --name, --scope, --model, --cidr or --expires")
    api = session.api
    session.show(api.post(_keys(api, project, key, admin=False), changes))


@app.command()
@administers
def rotate(
    session: Session,
    key: KeyId,
    project: InProject = None,
    overlap: Annotated[
        str, typer.Option(help="How long the old key still works: 0, 15m, 24h, at most 30d.")
    ] = "24h",
) -> None:
    """Make a key like this one; the old one ends after the overlap."""
    api = session.api
    where = _keys(api, project, key, admin=False)
    body = {"overlap_s": 0.0 if overlap == "0" else duration_s(overlap)}
    session.show_secret(api.post(f"{where}/rotate", body))


@app.command()
@administers
def revoke(session: Session, key: KeyId, project: InProject = None, admin: Admin = False) -> None:
    """End a key now."""
    api = session.api
    body = api.delete(_keys(api, project, key, admin=admin))
    session.say(body, f"{key} is revoked; it is refused everywhere within a second")


def duration_s(text: str) -> float:
    """Seconds of `90d`, `12h`, `30m` or `45s`."""
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found is None:
        raise CommandFailed(f"{text!r} is no length of time such as 90d, 12h, 30m or 45s")
    return int(found[1]) * _UNITS_S[found[2]]


def end_of(text: str, now: float) -> float | None:
    """Epoch seconds of what a person calls an end; None for `never`. Times without a zone are UTC."""
    if text == "never":
        return None
    if re.fullmatch(r"\d+[smhd]", text):
        return now + duration_s(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(f"{text!r} is neither 90d nor 2027-01-31 nor never") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _wished(
    scopes: list[str] | None,
    models: list[str] | None,
    cidrs: list[str] | None,
    expires: str | None,
    now: float,
) -> Body:
    given = {"scopes": scopes, "allowed_models": models, "allowed_cidrs": cidrs}
    wished: Body = {field: value for field, value in given.items() if value}
    if expires is not None:
        wished["expires_at"] = end_of(expires, now)
    return wished


def _keys(api: AdminApi, project: str | None, *key: str, admin: bool) -> str:
    if admin:
        if project is not None:
            raise CommandFailed("an admin key belongs to no project")
        return path("admin_api_keys", *key)
    return path("projects", the_project(api, project), "api_keys", *key)
