"""Who is who: people with the roles that they have, as lists show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from helixflow.errors import NotFound, Refusal
from helixflow.identity import inputs
from helixflow.identity.events import Actor
from helixflow.identity.permissions import Role
from helixflow.identity.ports import Page, Store, Unit
from helixflow.identity.projects import project_of
from helixflow.identity.records import Membership, User
from helixflow.identity.users import user_of
from helixflow.ids import OrganizationId, ProjectId, UserId


@dataclass(frozen=True, slots=True)
class Person:
    """A user and its role in the place that was asked about; None where it has none there."""

    user: User
    role: Role | None
    since: float

    @property
    def id(self) -> UserId:
        """The user's."""
        return self.user.id


class Members:
    """Reads people and roles."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def person(self, actor: Actor, user: str) -> Person:
        """A person with the role in the organization."""
        return await self._store.read(lambda unit: person_of(unit, actor.organization, user))

    async def people(self, actor: Actor, after: str | None, limit: int) -> Page[Person]:
        """The people of the organization, oldest first."""
        size = inputs.page_size(limit)

        async def work(unit: Unit) -> Page[Person]:
            page = await unit.users.page(actor.organization, after, size)
            people = [await person_of(unit, actor.organization, user.id) for user in page.items]
            return Page(tuple(people), page.more)

        return await self._store.read(work)

    async def member(self, actor: Actor, project: ProjectId, user: str) -> Person:
        """A person with a role in a project. Raises `NotFound` where it has none."""

        async def work(unit: Unit) -> Person:
            await project_of(unit, actor.organization, project)
            found = await person_of(unit, actor.organization, user, project)
            if found.role is None:
                raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is no such member.")
            return found

        return await self._store.read(work)

    async def members(
        self, actor: Actor, project: ProjectId, after: str | None, limit: int
    ) -> Page[Person]:
        """The people of a project, in the order of their joining; the first thousand of them."""
        size = inputs.page_size(limit)

        async def work(unit: Unit) -> Page[Person]:
            await project_of(unit, actor.organization, project)
            held = await unit.memberships.where(actor.organization, project=project)
            begin = place_after([member.user for member in held], after)
            chosen = held[begin : begin + size]
            people = [await _with_role(unit, member) for member in chosen]
            return Page(tuple(people), len(held) > begin + size)

        return await self._store.read(work)


async def person_of(
    unit: Unit, organization: OrganizationId, user: str, project: ProjectId | None = None
) -> Person:
    """A person with its role in the organization, or in a project. Raises `NotFound`."""
    found = await user_of(unit, organization, user)
    held = await unit.memberships.where(organization, user=found.id, project=project)
    return Person(found, held[0].role, held[0].created_at) if held else Person(found, None, 0.0)


def place_after(ids: Iterable[str], after: str | None) -> int:
    """How many ids come up to this one. Raises `NotFound` where it is none of them."""
    if after is None:
        return 0
    for place, one in enumerate(ids):
        if one == after:
            return place + 1
    raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is nothing with this id.", param="after")


async def _with_role(unit: Unit, member: Membership) -> Person:
    user = await user_of(unit, member.organization, member.user)
    return Person(user, member.role, member.created_at)
