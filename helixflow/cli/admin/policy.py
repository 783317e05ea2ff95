"""`helixflow policy`: Cedar policies, written, checked, tried and explained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from helixflow.cli.admin.api import Body, path
from helixflow.cli.admin.key import end_of
from helixflow.cli.admin.places import InProject, the_project
from helixflow.cli.admin.policy_files import policy_texts, read_policy, report, try_cases
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
from helixflow.cli.admin.tables import print_table
from helixflow.cli.command import Json, command, print_json
from helixflow.cli.failure import CommandFailed

app = typer.Typer(no_args_is_help=True, help="Cedar policies: attributes on top of roles.")

PolicyId = Annotated[str, typer.Argument(help="The policy's id.")]
PolicyFile = Annotated[Path, typer.Argument(help="Policies in Cedar's language.")]

POLICIES = (
    ("id", "id"),
    ("name", "name"),
    ("project", "project_id"),
    ("in force", "enabled"),
    ("changed", "updated_at"),
)


@app.command("list")
@administers
def list_(session: Session, after: After = None, limit: Limit = LIMIT) -> None:
    """Show the policies."""
    session.show_list(session.api.page(path("policies"), after, limit), POLICIES)


@app.command()
@administers
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    file: PolicyFile,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Only in this one.")
    ] = None,
) -> None:
    """Put a policy in force, in the whole organization or in one project."""
    body: Body = {"name": name, "source": read_policy(file)}
    if project is not None:
        body["project_id"] = project
    session.show(session.api.post(path("policies"), body))


@app.command()
@administers
def show(session: Session, policy: PolicyId) -> None:
    """Show one policy with its text."""
    session.show(session.api.get(path("policies", policy)))


@app.command()
@administers
def update(
    session: Session,
    policy: PolicyId,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    file: Annotated[Path | None, typer.Option(help="Another text.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="In force?")] = None,
) -> None:
    """Change what is given of a policy, and leave the rest as it is."""
    source = None if file is None else read_policy(file)
    given = {"name": name, "source": source, "enabled": enabled}
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise CommandFailed("say what to change: --name, --file, --enable or --disable")
    session.show(session.api.post(path("policies", policy), changes))


@app.command()
@administers
def delete(session: Session, policy: PolicyId, yes: Yes = False) -> None:
    """Remove a policy."""
    confirm(f"{policy} and its text are removed. Go on?", yes)
    body = session.api.delete(path("policies", policy))
    session.say(body, f"{policy} is removed; what it decided is void within a second")


@app.command()
@command
def validate(file: PolicyFile, json_: Json = False) -> None:
    """Say whether a policy could be saved. Nothing is asked of the platform."""
    fault = ""
    try:
        read_policy(file)
    except CommandFailed as error:
        fault = str(error)
    if json_:
        print_json({"file": str(file), "valid": not fault, "fault": fault or None})
    elif not fault:
        typer.echo(f"{file} can be saved")
    if fault:
        raise CommandFailed(fault)


@app.command("test")
@command
def try_(
    file: Annotated[Path, typer.Argument(help="Cases, and which policies they are about (YAML).")],
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", help="Another policy's file; repeat it.")
    ] = None,
    json_: Json = False,
) -> None:
    """Try policies on cases from a file, without a platform. Exit code 1: a case failed."""
    outcomes = try_cases(file, policy_texts(policy or []))
    failed = sum(not outcome.passed for outcome in outcomes)
    if json_:
        print_json([outcome.as_json() for outcome in outcomes])
    else:
        print_table(report(outcomes), console())
    if failed:
        raise CommandFailed(f"{failed} of {len(outcomes)} cases failed")


@app.command()
@administers
def explain(
    session: Session,
    action: Annotated[str, typer.Argument(help="A permission, such as model:invoke.")],
    model: Annotated[str | None, typer.Option("--model", help="What is to be used.")] = None,
    object_: Annotated[str | None, typer.Option("--object", help="Or: an object's id.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="name=value of the model or object; repeat it.")
    ] = None,
    project: InProject = None,
    key: Annotated[str | None, typer.Option(help="The id of the key that asks.")] = None,
    source: Annotated[str | None, typer.Option(help="The client's address.")] = None,
    claim: Annotated[
        list[str] | None, typer.Option(help="name=value of a token; repeat it.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="When, such as 2027-01-31T22:00.")] = None,
) -> None:
    """Say what the policies in force decide, and which of them."""
    api = session.api
    given = {
        "action": action,
        "model": model,
        "object": object_,
        "project_id": the_project(api, project),
        "attributes": _pairs(attribute or []) or None,
        "key_id": key,
        "source": source,
        "claims": claim or None,
        "at": None if at is None else end_of(at, time.time()),
    }
    body = {name: value for name, value in given.items() if value is not None}
    session.show(api.post(path("policies", "explain"), body))


def _pairs(texts: list[str]) -> dict[str, str]:
    """Attributes as they are typed."""
    pairs = dict(text.partition("=")[::2] for text in texts)
    if not all("=" in text for text in texts):
        raise CommandFailed("an attribute is name=value, such as region=eu")
    return pairs
