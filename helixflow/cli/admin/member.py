"""`helixflow project member`: who works in a project, and as what."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin.api import path
from helixflow.cli.admin.places import ProjectId
from helixflow.cli.admin.session import LIMIT, After, Limit, Session, administers
from helixflow.identity.permissions import Role

app = typer.Typer(no_args_is_help=True, help="The people of a project.")

UserId = Annotated[str, typer.Argument(help="The user's id.")]
AsRole = Annotated[Role, typer.Option(help="What the person is; see `helixflow org roles`.")]

MEMBERS = (("id", "id"), ("email", "email"), ("name", "name"), ("role", "role"))


@app.command("list")
@administers
def list_(session: Session, project: ProjectId, after: After = None, limit: Limit = LIMIT) -> None:
    """Show the members of a project."""
    session.show_list(session.api.page(path("projects", project, "users"), after, limit), MEMBERS)


@app.command()
@administers
def add(session: Session, project: ProjectId, user: UserId, role: AsRole) -> None:
    """Give a user a role in a project."""
    body = {"user_id": user, "role": role.value}
    session.show(session.api.post(path("projects", project, "users"), body))


@app.command()
@administers
def update(session: Session, project: ProjectId, user: UserId, role: AsRole) -> None:
    """Give a member another role."""
    body = {"role": role.value}
    session.show(session.api.post(path("projects", project, "users", user), body))


@app.command()
@administers
def remove(session: Session, project: ProjectId, user: UserId) -> None:
    """Take a member's role in a project away."""
    body = session.api.delete(path("projects", project, "users", user))
    session.say(body, f"{user} has no role in {project} any more")
