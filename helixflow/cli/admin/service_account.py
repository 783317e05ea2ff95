"""`helixflow project service-account`: programs with keys of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin.api import path
from helixflow.cli.admin.places import ProjectId
from helixflow.cli.admin.session import LIMIT, After, Limit, Session, administers

app = typer.Typer(no_args_is_help=True, help="Programs with keys of their own.")

AccountId = Annotated[str, typer.Argument(help="The service account's id.")]

ACCOUNTS = (("id", "id"), ("name", "name"), ("created", "created_at"), ("disabled", "disabled_at"))


@app.command("list")
@administers
def list_(session: Session, project: ProjectId, after: After = None, limit: Limit = LIMIT) -> None:
    """Show the service accounts of a project."""
    where = path("projects", project, "service_accounts")
    session.show_list(session.api.page(where, after, limit), ACCOUNTS)


@app.command()
@administers
def create(
    session: Session,
    project: ProjectId,
    name: Annotated[str, typer.Argument(help="What people call it.")],
) -> None:
    """Make a service account and its first key, which is shown once."""
    where = path("projects", project, "service_accounts")
    session.show_secret(session.api.post(where, {"name": name}))


@app.command()
@administers
def show(session: Session, project: ProjectId, account: AccountId) -> None:
    """Show one service account."""
    session.show(session.api.get(path("projects", project, "service_accounts", account)))


@app.command()
@administers
def disable(session: Session, project: ProjectId, account: AccountId) -> None:
    """Switch a service account off: its keys and tokens are refused."""
    body = session.api.delete(path("projects", project, "service_accounts", account))
    session.say(body, f"{account} is off; its keys and tokens are refused within a second")
