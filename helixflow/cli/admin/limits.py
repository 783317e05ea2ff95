"""`helixflow limits`: what may be used, by whom, and what a key has left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from helixflow.cli.admin.api import AdminApi, Body, path
from helixflow.cli.admin.session import (
    LIMIT,
    After,
    Limit,
    Session,
    Yes,
    administers,
    confirm,
    console,
)
from helixflow.cli.admin.tables import Columns, print_table, table
from helixflow.cli.command import BaseUrl, Home, Json, command, print_json
from helixflow.cli.environment import caller_environment
from helixflow.cli.failure import CommandFailed
from helixflow.cli.target import find_target, home_folder

app = typer.Typer(
    no_args_is_help=True, help="Limits of requests, tokens, spend and requests at a time."
)

Project = Annotated[str | None, typer.Option("--project", "-p", help="About this project.")]
User = Annotated[
    str | None, typer.Option("--user", "-u", help="About this user or service account.")
]
OfKey = Annotated[str | None, typer.Option("--key", "-k", help="About this key.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="About this model alone.")]
LimitId = Annotated[str, typer.Argument(help="The limit's id.")]

_LOOKED_AT = 1000


def amount(limit: Mapping[str, Any], field: str = "amount") -> str:
    """An amount with what it is of."""
    value = limit.get(field)
    if value is None:
        return "-"
    written = f"{value:.9f}".rstrip("0").rstrip(".")
    return f"{written} USD" if str(limit.get("name")).startswith("spend_") else written


def _about(limit: Mapping[str, Any]) -> str:
    named = f"{limit.get('entity')} {limit.get('entity_id')}"
    model = limit.get("model")
    return named if model is None or limit.get("entity") == "model" else f"{named}, model {model}"


LIMITS: Columns = (
    ("id", "id"),
    ("limit", "name"),
    ("amount", amount),
    ("per", "per"),
    ("about", _about),
    ("hard", "hard"),
)
OWN: Columns = (
    ("limit", "name"),
    ("counts", "scope"),
    ("left", lambda limit: amount(limit, "remaining")),
    ("of", lambda limit: amount(limit, "limit")),
    ("all back in", lambda limit: _seconds(limit.get("reset_seconds"))),
)


@dataclass(frozen=True, slots=True)
class About:
    """What a limit is about: an entity, and one model of it or each."""

    entity: str
    entity_id: str | None
    model: str | None

    @staticmethod
    def of(project: str | None, user: str | None, key: str | None, model: str | None) -> About:
        """What the options say; without any it is the organization."""
        given = {"project": project, "user": user, "key": key}
        named = [(entity, one) for entity, one in given.items() if one is not None]
        if len(named) > 1:
            raise CommandFailed("a limit is about one of --project, --user and --key")
        if named:
            return About(*named[0], model)
        if model is not None:
            return About("model", model, model)
        return About("organization", None, None)

    def per(self, given: list[str]) -> list[str]:
        """Whose use is counted together; by default the entity's, and per model if one is named."""
        scopes = set(given or [self.entity])
        return sorted(scopes if self.model is None else scopes | {"model"})

    @property
    def filters(self) -> dict[str, str]:
        """What a list is asked for."""
        which = {} if self.entity_id is None else {"entity_id": self.entity_id}
        return {"entity": self.entity, **which}


@app.command("list")
@administers
def list_(
    session: Session,
    project: Project = None,
    user: User = None,
    key: OfKey = None,
    model: Model = None,
    after: After = None,
    limit: Limit = LIMIT,
) -> None:
    """Show the limits that were set; what the tier gives is in `helixflow org show`."""
    about = About.of(project, user, key, model)
    asked = {} if about.entity == "organization" else about.filters
    session.show_list(session.api.page(path("limits"), after, limit, asked), LIMITS)


@app.command("set")
@administers
def set_(
    session: Session,
    name: Annotated[str, typer.Argument(help="Such as requests_per_minute or spend_per_day.")],
    amount: Annotated[float, typer.Argument(min=0.0, help="How much; spend in US dollars.")],
    per: Annotated[
        list[str] | None, typer.Option(help="Whose use counts together; repeat it for a pair.")
    ] = None,
    project: Project = None,
    user: User = None,
    key: OfKey = None,
    model: Model = None,
    hard: Annotated[
        bool | None, typer.Option("--hard/--soft", help="Is no debt allowed? Soft by default.")
    ] = None,
) -> None:
    """Let a limit hold: about the organization, or about what is named."""
    api, about = session.api, About.of(project, user, key, model)
    scopes = about.per(per or [])
    terms: Body = {"amount": int(amount) if amount.is_integer() else amount}
    if hard is not None:
        terms["hard"] = hard
    held = _find(api, about, name, scopes)
    if held is not None:
        session.show(api.post(path("limits", held), terms))
        return
    wish = {
        "entity": about.entity,
        "entity_id": about.entity_id,
        "name": name,
        "per": scopes,
        "model": about.model,
    }
    body = {field: value for field, value in wish.items() if value is not None}
    session.show(api.post(path("limits"), {**body, **terms}))


@app.command()
@administers
def delete(session: Session, limit: LimitId, yes: Yes = False) -> None:
    """Remove a limit: what is less specific, or the tier, holds again."""
    confirm(f"{limit} is removed. Go on?", yes)
    body = session.api.delete(path("limits", limit))
    session.say(body, f"{limit} is removed; it holds nowhere any more within a second")


@app.command()
@command
def show(
    home: Home = None,
    base_url: BaseUrl = None,
    key: Annotated[
        str | None, typer.Option("--api-key", help="Whose; by default the home's key.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show the limits of a key that infers, and what is left of them."""
    environ = caller_environment()
    api = find_target(home_folder(home, environ), environ, base_url, key).api()
    limits = api.limits()
    if json_:
        print_json(limits)
    elif limits["data"]:
        print_table(table(limits["data"], OWN), console())
    else:
        typer.echo("this key has no limits")


def _find(api: AdminApi, about: About, name: str, per: list[str]) -> str | None:
    """The id of the limit in this place, if it is set."""
    wanted = (name, per, about.model)
    for held in api.page(path("limits"), None, _LOOKED_AT, about.filters)["data"]:
        if (held.get("name"), sorted(held.get("per") or []), held.get("model")) == wanted:
            return str(held["id"])
    return None


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"
