"""`helixflow project content`: what a project keeps of the content of its requests."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from helixflow.cli.admin.api import path
from helixflow.cli.admin.places import ProjectId
from helixflow.cli.admin.session import LIMIT, After, Limit, Session, Yes, administers, confirm

app = typer.Typer(
    no_args_is_help=True, help="What a project keeps of its requests; nothing by default."
)

RequestId = Annotated[str, typer.Argument(help="The request's id.")]

CONTENTS = (
    ("id", "id"),
    ("at", "created_at"),
    ("until", "expires_at"),
    ("model", "model"),
    ("outcome", "outcome"),
    ("asked", "request_bytes"),
    ("answered", "answer_bytes"),
    ("cut", "truncated"),
)


@app.command()
@administers
def keep(
    session: Session,
    project: ProjectId,
    days: Annotated[int, typer.Option("--days", min=1, help="How long each content is kept.")],
) -> None:
    """Keep the content of a project's requests from now on, encrypted, for so many days."""
    body = session.api.post(path("projects", project), {"content_retention_days": days})
    session.say(body, f"{project} keeps the content of its requests for {days} days")


@app.command()
@administers
def off(
    session: Session,
    project: ProjectId,
    erase: Annotated[bool, typer.Option("--erase", help="Erase what was kept, too.")] = False,
    yes: Yes = False,
) -> None:
    """Keep nothing from now on; what was kept stays for its days, or goes with --erase."""
    if erase:
        _confirm_erasure(project, yes)
    body = session.api.post(path("projects", project), {"content_retention_days": None})
    if erase:
        session.api.delete(path("projects", project, "content"))
    told = "; what it kept is erased within seconds" if erase else ""
    session.say(body, f"{project} keeps no content within a second{told}")


@app.command("list")
@administers
def list_(session: Session, project: ProjectId, after: After = None, limit: Limit = LIMIT) -> None:
    """Show of which requests something is kept, the newest first."""
    where = path("projects", project, "content")
    session.show_list(session.api.page(where, after, limit), CONTENTS)


@app.command()
@administers
def show(session: Session, project: ProjectId, request: RequestId) -> None:
    """Show what is kept of a request. The audit log takes down who reads it."""
    body = session.api.get(path("projects", project, "content", request))
    parts = {name: body.pop(name) for name in ("request", "answer")} if not session.json else {}
    session.show(body)
    for name, part in parts.items():
        typer.echo(f"\n{name}{_cut(part)}:\n{_harmless(str(part['text']))}")


@app.command()
@administers
def delete(session: Session, project: ProjectId, request: RequestId) -> None:
    """Delete what is kept of a request."""
    body = session.api.delete(path("projects", project, "content", request))
    session.say(body, f"nothing is kept of {request} any more")


@app.command()
@administers
def erase(session: Session, project: ProjectId, yes: Yes = False) -> None:
    """Erase all that a project has kept until now; it goes on keeping, unless it is off."""
    _confirm_erasure(project, yes)
    body = session.api.delete(path("projects", project, "content"))
    session.say(body, f"what {project} kept is erased within seconds")


def _confirm_erasure(project: str, yes: bool) -> None:
    confirm(f"All that {project} has kept becomes unreadable for good. Go on?", yes)


def _cut(part: dict[str, Any]) -> str:
    return f" (cut; the whole had {part['bytes']} bytes)" if part.get("truncated") else ""


def _harmless(text: str) -> str:
    """The text without what would steer a terminal: it was written by whoever sent the request."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
