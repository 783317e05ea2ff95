"""The desk's operations on projects and on their members."""

from __future__ import annotations

from typing import Any

import msgspec

from helixflow.errors import NotFound
from helixflow.identity import inputs
from helixflow.identity.desk_operation import (
    Arguments,
    InProject,
    Json,
    Operation,
    Paging,
    ProjectPaging,
    Shown,
    Visit,
    deleted,
    listed,
    seconds,
    shown,
)
from helixflow.identity.members import Person
from helixflow.identity.permissions import Permission, Role
from helixflow.identity.projects import require_match
from helixflow.identity.records import Project

_MEMBER = "organization.project.user"


class NewProject(Arguments, frozen=True, kw_only=True):
    name: str


class ProjectUpdate(InProject, frozen=True, kw_only=True):
    name: str | None = None
    content_retention_days: int | msgspec.UnsetType | None = msgspec.UNSET


class Member(InProject, frozen=True, kw_only=True):
    user_id: str


class MemberRole(Member, frozen=True, kw_only=True):
    role: Role


def project_json(project: Project) -> Json:
    """A project as OpenAI shapes it."""
    return {
        "object": "organization.project",
        "id": project.id,
        "name": project.name,
        "created_at": seconds(project.created_at),
        "archived_at": seconds(project.archived_at),
        "status": "active" if project.archived_at is None else "archived",
        "content_retention_days": project.content_days,
    }


def _member_json(person: Person) -> Json:
    return {
        "object": _MEMBER,
        "id": person.id,
        "name": person.user.name,
        "email": person.user.email,
        "role": person.role,
        "added_at": seconds(person.since),
    }


async def _list(visit: Visit, asked: Paging) -> Shown:
    page = await visit.services.projects.page(visit.actor, asked.after, asked.limit)
    return listed(page, project_json)


async def _create(visit: Visit, asked: NewProject) -> Shown:
    project = await visit.services.projects.create(visit.actor, asked.name)
    return shown(project_json(project), project)


async def _read(visit: Visit, asked: InProject) -> Shown:
    project = await visit.services.projects.get(visit.actor, asked.project_id)
    return shown(project_json(project), project)


async def _update(visit: Visit, asked: ProjectUpdate) -> Shown:
    days = asked.content_retention_days
    project = await visit.services.projects.update(
        visit.actor,
        asked.project_id,
        visit.if_match,
        name=asked.name,
        content_days=None if days is msgspec.UNSET else "none" if days is None else days,
    )
    return shown(project_json(project), project)


async def _erase_content(visit: Visit, asked: InProject) -> Shown:
    await visit.services.projects.erase_content(visit.actor, asked.project_id)
    return deleted("organization.project.content", asked.project_id)


async def _granted(visit: Visit, asked: InProject) -> Shown:
    """Whoever comes this far may read, or delete: Telemetry has the content and knows no roles."""
    await visit.services.projects.get(visit.actor, asked.project_id)
    return Shown({})


async def _archive(visit: Visit, asked: InProject) -> Shown:
    project = await visit.services.projects.archive(visit.actor, asked.project_id)
    return shown(project_json(project), project)


async def _list_members(visit: Visit, asked: ProjectPaging) -> Shown:
    page = await visit.services.members.members(
        visit.actor, asked.project_id, asked.after, asked.limit
    )
    return listed(page, _member_json)


async def _read_member(visit: Visit, asked: Member) -> Shown:
    person = await visit.services.members.member(visit.actor, asked.project_id, asked.user_id)
    return shown(_member_json(person))


async def _add_member(visit: Visit, asked: MemberRole) -> Shown:
    try:
        await visit.services.members.member(visit.actor, asked.project_id, asked.user_id)
    except NotFound:
        await visit.services.users.set_role(
            visit.actor, asked.user_id, asked.project_id, asked.role
        )
    else:
        raise inputs.taken("This member", "user_id")
    return await _read_member(visit, asked)


async def _update_member(visit: Visit, asked: MemberRole) -> Shown:
    held = await visit.services.members.member(visit.actor, asked.project_id, asked.user_id)
    require_match(_member_json(held), visit.if_match)
    await visit.services.users.set_role(visit.actor, asked.user_id, asked.project_id, asked.role)
    return await _read_member(visit, asked)


async def _remove_member(visit: Visit, asked: Member) -> Shown:
    await visit.services.projects.get(visit.actor, asked.project_id)
    await visit.services.users.leave(visit.actor, asked.user_id, asked.project_id)
    return deleted(_MEMBER, asked.user_id)


def _operation(name: str, permission: Permission, arguments: Any, run: Any) -> Operation:
    changes = not name.endswith((".list", ".read"))
    target = "user_id" if issubclass(arguments, Member) else "project_id"
    return Operation(name, permission, arguments, run, changes, target)


OPERATIONS = (
    _operation("project.list", Permission.PROJECT_READ, Paging, _list),
    _operation("project.create", Permission.PROJECT_CREATE, NewProject, _create),
    _operation("project.read", Permission.PROJECT_READ, InProject, _read),
    _operation("project.update", Permission.PROJECT_UPDATE, ProjectUpdate, _update),
    _operation("project.archive", Permission.PROJECT_DELETE, InProject, _archive),
    Operation("content.delete", Permission.CONTENT_DELETE, InProject, _granted),
    _operation("content.erase", Permission.CONTENT_DELETE, InProject, _erase_content),
    Operation("content.read", Permission.CONTENT_READ, InProject, _granted),
    _operation("project_user.list", Permission.MEMBER_READ, ProjectPaging, _list_members),
    _operation("project_user.create", Permission.MEMBER_CREATE, MemberRole, _add_member),
    _operation("project_user.read", Permission.MEMBER_READ, Member, _read_member),
    _operation("project_user.update", Permission.MEMBER_UPDATE, MemberRole, _update_member),
    _operation("project_user.delete", Permission.MEMBER_DELETE, Member, _remove_member),
)
