from __future__ import annotations

import pytest

from helixflow.errors import InvalidRequest, NotFound, PreconditionFailed
from helixflow.identity.events import Actor, EventName
from helixflow.identity.projects import Projects
from helixflow.identity.records import etag
from helixflow.ids import ProjectId
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.store import add_tenant


async def actor_of(stores: Stores) -> Actor:
    organization, _ = await add_tenant(stores.units)
    return Actor(organization.id, "key_admin")


async def events(stores: Stores) -> list[EventName]:
    return [outgoing.event.name for outgoing in await stores.outbox.head(100)]


async def test_a_project_is_created_renamed_and_archived_with_an_event_each(
    stores: Stores,
) -> None:
    actor, clock = await actor_of(stores), ManualClock()
    projects = Projects(stores.units, clock)
    made = await projects.create(actor, "  one  ")
    assert made.name == "one"
    renamed = await projects.rename(actor, made.id, "two")
    archived = await projects.archive(actor, made.id)
    assert (renamed.name, archived.archived_at) == ("two", clock.now())
    assert await projects.archive(actor, made.id) == archived
    assert await projects.get(actor, made.id) == archived
    assert await events(stores) == [
        EventName.PROJECT_CREATE,
        EventName.PROJECT_UPDATE,
        EventName.PROJECT_ARCHIVE,
    ]
    assert await stores.keys.revision() == 3


async def test_another_tenants_project_looks_like_a_missing_one(stores: Stores) -> None:
    actor, other = await actor_of(stores), await actor_of(stores)
    projects = Projects(stores.units, ManualClock())
    theirs = await projects.create(other, "theirs")
    messages = set()
    for project in (theirs.id, ProjectId("proj_none"), ProjectId("\x00"), ProjectId("x" * 9999)):
        for call in (
            projects.get(actor, project),
            projects.rename(actor, project, "mine"),
            projects.archive(actor, project),
        ):
            with pytest.raises(NotFound) as caught:
                await call
            messages.add(caught.value.message)
    assert len(messages) == 1
    assert await projects.get(other, theirs.id) == theirs


@pytest.mark.parametrize("name", ["", "   ", "x" * 257, "a\nb", "a\x00", "\ud800"])
async def test_a_name_that_is_not_one_line_is_refused(stores: Stores, name: str) -> None:
    actor = await actor_of(stores)
    with pytest.raises(InvalidRequest) as caught:
        await Projects(stores.units, ManualClock()).create(actor, name)
    assert caught.value.param == "name"
    assert await stores.keys.revision() == 0


async def test_an_update_of_what_changed_meanwhile_is_refused(stores: Stores) -> None:
    actor = await actor_of(stores)
    projects = Projects(stores.units, ManualClock())
    seen = await projects.create(actor, "one")
    await projects.rename(actor, seen.id, "two", etag(seen))
    with pytest.raises(PreconditionFailed) as caught:
        await projects.rename(actor, seen.id, "three", etag(seen))
    assert caught.value.param == "If-Match"
    assert (await projects.rename(actor, seen.id, "four", "*")).name == "four"


async def test_projects_are_paged(stores: Stores) -> None:
    actor, clock = await actor_of(stores), ManualClock()
    projects = Projects(stores.units, clock)
    (first,) = (await projects.page(actor)).items
    for number in range(3):
        clock.advance(1)
        await projects.create(actor, f"{number}")
    page = await projects.page(actor, first.id, 2)
    assert [project.name for project in page.items] == ["0", "1"]
    assert page.more
    for limit in (0, 101):
        with pytest.raises(InvalidRequest):
            await projects.page(actor, limit=limit)
    for after in ("nothing", "\x00"):
        with pytest.raises(NotFound):
            await projects.page(actor, after)
