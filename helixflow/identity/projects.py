"""The projects of an organization."""

from __future__ import annotations

from dataclasses import replace

from helixflow.clock import Clock
from helixflow.errors import Conflict, PreconditionFailed, Refusal
from helixflow.identity import inputs
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.ports import Page, Store, Unit
from helixflow.identity.records import Organization, Project, etag
from helixflow.ids import OrganizationId, ProjectId, mint_project_id


class Projects:
    """The projects of the caller's organization."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

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
        name = inputs.name(name)

        async def work(unit: Unit) -> Project:
            held = await project_of(unit, actor.organization, project)
            require_match(held, if_match)
            return await self._put(unit, EventName.PROJECT_UPDATE, actor, replace(held, name=name))

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

    async def _put(self, unit: Unit, name: EventName, actor: Actor, project: Project) -> Project:
        await unit.projects.put(project)
        self._record(unit, name, actor, project)
        return project

    def _record(self, unit: Unit, name: EventName, actor: Actor, project: Project) -> None:
        now = self._clock.now()
        unit.record(Event(name, actor.organization, project.id, actor.id, project.id, now))


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
