"""`helixflow project`: projects, their members and their service accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin import content, member, service_account
from helixflow.cli.admin.api import path
from helixflow.cli.admin.places import ProjectId
from helixflow.cli.admin.session import LIMIT, After, Limit, Session, Yes, administers, confirm

app = typer.Typer(no_args_is_help=True, help="Projects, their members and service accounts.")
app.add_typer(content.app, name="content")
app.add_typer(member.app, name="member")
app.add_typer(service_account.app, name="service-account")

Name = Annotated[str, typer.Argument(help="What people call it.")]

PROJECTS = (
    ("id", "id"),
    ("name", "name"),
    ("status", "status"),
    ("created", "created_at"),
    ("archived", "archived_at"),
    ("keeps content (days)", "content_retention_days"),
)


@app.command("list")
@administers
def list_(session: Session, after: After = None, limit: Limit = LIMIT) -> None:
    """Show the projects, archived ones included."""
    session.show_list(session.api.page(path("projects"), after, limit), PROJECTS)


@app.command()
@administers
def create(session: Session, name: Name) -> None:
    """Make a project."""
    session.show(session.api.post(path("projects"), {"name": name}))


@app.command()
@administers
def show(session: Session, project: ProjectId) -> None:
    """Show one project."""
    session.show(session.api.get(path("projects", project)))


@app.command()
@administers
def rename(session: Session, project: ProjectId, name: Name) -> None:
    """Give a project another name."""
    session.show(session.api.post(path("projects", project), {"name": name}))


@app.command()
@administers
def archive(session: Session, project: ProjectId, yes: Yes = False) -> None:
    """Switch a project off for good: its keys and tokens are refused."""
    confirm(f"{project} is switched off for good. Go on?", yes)
    body = session.api.post(path("projects", project, "archive"), {})
    session.say(body, f"{project} is archived; its keys and tokens are refused within a second")
