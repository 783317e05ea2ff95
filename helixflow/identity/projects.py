"""The projects of an organization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from helixflow.clock import Clock
from helixflow.errors import Conflict, InvalidRequest, PreconditionFailed, Refusal
from helixflow.identity import inputs
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.ports import Page, Store, Unit
from helixflow.identity.records import Organization, Project, etag
from helixflow.ids import OrganizationId, ProjectId, mint_project_id
from helixflow.inference.principal import Keeping

ERASED_PERIOD = "erased_period"
"""The detail of `content:erase` that names the last period whose content is given up."""


class Projects:
    """The projects of the caller's organization.

    Args:
        content_days_max: how long content may be kept at most; 0 lets no project keep any.
    """

    def __init__(self, store: Store, clock: Clock, content_days_max: int = 0) -> None:
        self._store = store
        self._clock = clock
        self._content_days_max = content_days_max

    async def create(self, actor: Actor, name: str) -> Project:
        """A fresh project."""
        project = Project(
            mint_project_id(), actor.organization, inputs.name(name), self._clock.now()
        )

        async def work(unit: Unit) -> Project:
            await unit.projects.add(project)
            self._record(unit, EventName.PROJECT_CREATE, actor, project)
            return project

        return await self._store.write(work)

    async def get(self, actor: Actor, project: ProjectId) -> Project:
        """One project."""
        return await self._store.read(lambda unit: project_of(unit, actor.organization, project))

    async def page(self, actor: Actor, after: str | None = None, limit: int = 20) -> Page[Project]:
        """The projects, oldest first, archived ones included."""
        size = inputs.page_size(limit)
        return await self._store.read(
            lambda unit: unit.projects.page(actor.organization, after, size)
        )

    async def rename(
        self, actor: Actor, project: ProjectId, name: str, if_match: str | None = None
    ) -> Project:
        """Give it another name."""
        return await self.update(actor, project, if_match, name=name)

    async def update(
        self,
        actor: Actor,
        project: ProjectId,
        if_match: str | None = None,
        *,
        name: str | None = None,
        content_days: int | Literal["none"] | None = None,
    ) -> Project:
        """Change what is given.

        Args:
            name: another name.
            content_days: keep the content of requests for so many days from now on, or `none`.
        """
        if name is not None:
            name = inputs.name(name)
        if isinstance(content_days, int) and not 1 <= content_days <= self._content_days_max:
            raise _too_many_days(self._content_days_max)

        async def work(unit: Unit) -> Project:
            held = await project_of(unit, actor.organization, project)
            require_match(held, if_match)
            changed = held if name is None else replace(held, name=name)
            if content_days is not None:
                changed = _keeping(changed, None if content_days == "none" else content_days)
            return await self._put(unit, EventName.PROJECT_UPDATE, actor, changed)

        return await self._store.write(work)

    async def erase_content(self, actor: Actor, project: ProjectId) -> Project:
        """Give up all content that was kept until now, for good; what is kept goes on being kept.

        The event says so to Telemetry, which has the content and its keys.
        """

        async def work(unit: Unit) -> Project:
            held = await project_of(unit, actor.organization, project)
            period = held.content_period or 0
            erased = replace(held, content_period=period + 1)
            detail = {ERASED_PERIOD: str(period)}
            return await self._put(unit, EventName.CONTENT_ERASE, actor, erased, detail)

        return await self._store.write(work)

    async def archive(self, actor: Actor, project: ProjectId) -> Project:
        """Switch it off for good: its keys and tokens are refused. Twice is harmless."""

        async def work(unit: Unit) -> Project:
            held = await project_of(unit, actor.organization, project)
            if held.archived_at is not None:
                return held
            archived = replace(held, archived_at=self._clock.now())
            return await self._put(unit, EventName.PROJECT_ARCHIVE, actor, archived)

        return await self._store.write(work)

    async def _put(
        self,
        unit: Unit,
        name: EventName,
        actor: Actor,
        project: Project,
        detail: Mapping[str, str] | None = None,
    ) -> Project:
        await unit.projects.put(project)
        self._record(unit, name, actor, project, detail)
        return project

    def _record(
        self,
        unit: Unit,
        name: EventName,
        actor: Actor,
        project: Project,
        detail: Mapping[str, str] | None = None,
    ) -> None:
        event = Event(name, actor.organization, project.id, actor.id, project.id, self._clock.now())
        unit.record(event if detail is None else replace(event, detail=detail))


def kept(keeping: Keeping | None, days_max: int) -> Keeping | None:
    """Whether a project keeps content, within what the platform allows today."""
    if keeping is None or days_max == 0:
        return None
    return replace(keeping, days=min(keeping.days, days_max))


def keeping_of(project: Project) -> Keeping | None:
    """Whether a project wants content to be kept."""
    if project.content_days is None:
        return None
    return Keeping(project.content_days, project.content_period or 0)


def _keeping(project: Project, days: int | None) -> Project:
    """The project with another switch; what begins to keep begins a period."""
    begins = days is not None and project.content_days is None
    period = (project.content_period or 0) + 1 if begins else project.content_period
    return replace(project, content_days=days, content_period=period)


def _too_many_days(most: int) -> InvalidRequest:
    words = f"It must be 1 to {most}." if most else "This platform keeps no content."
    return InvalidRequest(Refusal.INVALID_VALUE, words, param="content_retention_days")


async def organization_of(unit: Unit, organization: OrganizationId) -> Organization:
    """The organization with this id. Raises `NotFound`."""
    held = await unit.organizations.get(organization, organization)
    return inputs.found(held, "organization")


async def project_of(unit: Unit, organization: OrganizationId, project: ProjectId) -> Project:
    """A project of an organization. Raises `NotFound`."""
    return inputs.found(await unit.projects.get(organization, project), "project")


async def open_project_of(unit: Unit, organization: OrganizationId, project: ProjectId) -> Project:
    """The same, for what an archived project can no longer have."""
    held = await project_of(unit, organization, project)
    if held.archived_at is not None:
        raise Conflict(Refusal.CONFLICT, "The project is archived.")
    return held


def require_match(record: object, if_match: str | None) -> None:
    """Refuse an update of something that is no longer what the caller saw (RFC 9110, If-Match)."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag(record) not in {tag.strip() for tag in if_match.split(",")}:
        raise PreconditionFailed(
            Refusal.PRECONDITION_FAILED,
            "It was changed meanwhile; read it again.",
            param="If-Match",
        )
