"""Which project a command means, when nobody says."""

from __future__ import annotations

from typing import Annotated

import typer

from helixflow.cli.admin.api import AdminApi, path
from helixflow.cli.failure import CommandFailed

_LOOKED_AT = 1000

ProjectId = Annotated[str, typer.Argument(help="The project's id.")]
InProject = Annotated[
    str | None,
    typer.Option("--project", "-p", help="A project's id; may be left out if it is one."),
]


def the_project(api: AdminApi, project: str | None) -> str:
    """The id that was given, or that of the only project that is not archived."""
    if project is not None:
        return project
    listed = api.page(path("projects"), limit=_LOOKED_AT)["data"]
    open_ones = [one for one in listed if one.get("archived_at") is None]
    if len(open_ones) == 1:
        return str(open_ones[0]["id"])
    known = (
        ", ".join(f"{one['id']} ({one.get('name')})" for one in open_ones[:5]) or "there is none"
    )
    raise CommandFailed(f"say which project, with --project: {known}")
