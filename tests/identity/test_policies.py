from __future__ import annotations

from dataclasses import replace

import pytest

from helixflow.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed
from helixflow.identity.cedar import Circumstances, Target
from helixflow.identity.cedar_schema import POLICIES_MAX, SOURCE_LENGTH_MAX, SOURCES_LENGTH_MAX
from helixflow.identity.events import Actor, EventName
from helixflow.identity.policies import Policies
from helixflow.identity.policy_texts import PolicyTexts
from helixflow.identity.ports import PolicySet, Unit
from helixflow.identity.projects import Projects
from helixflow.identity.records import etag
from helixflow.ids import ProjectId
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import some_principal
from helixflow.testing.store import add_tenant

NOTHING = "forbid (principal, action, resource);"
LITTLE = 'forbid (principal, action, resource == Model::"big");'


async def setting(stores: Stores) -> tuple[Policies, Actor, str]:
    organization, project = await add_tenant(stores.units)
    return Policies(stores.units, ManualClock()), Actor(organization.id, "user_1"), project.id


async def test_a_policy_is_in_force_while_it_is_enabled(stores: Stores) -> None:
    policies, actor, project = await setting(stores)
    made = await policies.create(actor, "none", NOTHING)
    assert await policies.get(actor, made.id) == made
    revision, texts = await policies.sources(actor.organization, project)  # type: ignore[arg-type]
    assert (revision, texts) == (1, {made.id: NOTHING})
    off = await policies.update(actor, made.id, "none", NOTHING, enabled=False)
    assert (await policies.sources(actor.organization, project))[1] == {}  # type: ignore[arg-type]
    await policies.update(actor, made.id, "less", LITTLE, if_match=etag(off))
    _, compiled = await policies.compiled(actor.organization, project)  # type: ignore[arg-type]
    judged = compiled.decide(
        some_principal(), "model:invoke", Target("Model", "big"), Circumstances(0.0)
    )
    assert judged.because == (made.id,)
    await policies.delete(actor, made.id)
    assert (await policies.page(actor)).items == ()
    names = [outgoing.event.name for outgoing in await stores.outbox.head(9)]
    assert names == [
        EventName.POLICY_CREATE,
        EventName.POLICY_UPDATE,
        EventName.POLICY_UPDATE,
        EventName.POLICY_DELETE,
    ]


async def test_a_projects_policy_holds_in_that_project_alone(stores: Stores) -> None:
    policies, actor, project = await setting(stores)
    other = await Projects(stores.units, ManualClock()).create(actor, "other")
    await policies.create(actor, "none", NOTHING, project)  # type: ignore[arg-type]
    assert (await policies.sources(actor.organization, project))[1]  # type: ignore[arg-type]
    assert not (await policies.sources(actor.organization, other.id))[1]


async def test_what_does_not_fit_is_refused_and_changes_nothing(stores: Stores) -> None:
    policies, actor, _ = await setting(stores)
    made = await policies.create(actor, "one", NOTHING)
    other = await policies.create(actor, "two", NOTHING)
    for call in (
        policies.create(actor, "bad", "permit ("),
        policies.create(actor, "one", NOTHING),
        policies.update(actor, made.id, "one", "permit ("),
        policies.update(actor, other.id, "one", NOTHING),
        policies.update(actor, made.id, "one", LITTLE, if_match='"stale"'),
    ):
        with pytest.raises((Conflict, InvalidRequest, PreconditionFailed)):
            await call
    assert await stores.keys.revision() == 2
    assert set((await policies.page(actor)).items) == {made, other}


async def test_another_tenants_policies_do_not_exist(stores: Stores) -> None:
    policies, actor, project = await setting(stores)
    _, other, _ = await setting(stores)
    made = await policies.create(actor, "one", NOTHING)
    for call in (
        policies.get(other, made.id),
        policies.update(other, made.id, "mine", NOTHING),
        policies.delete(other, made.id),
        policies.create(other, "mine", NOTHING, project),  # type: ignore[arg-type]
    ):
        with pytest.raises(NotFound):
            await call
    assert (await policies.sources(other.organization, project))[1] == {}  # type: ignore[arg-type]


async def test_an_organization_has_a_bounded_number_of_policies(stores: Stores) -> None:
    policies, actor, _ = await setting(stores)
    first = await policies.create(actor, "policy", NOTHING)

    async def fill(unit: Unit) -> None:
        for number in range(POLICIES_MAX - 1):
            await unit.policies.add(replace(first, id=f"pol_{number}", name=f"{number}"))

    await stores.units.write(fill)
    with pytest.raises(Conflict, match="at most"):
        await policies.create(actor, "one more", NOTHING)


async def test_an_organizations_policies_are_bounded_in_their_length_together(
    stores: Stores,
) -> None:
    policies, actor, _ = await setting(stores)
    long = NOTHING + " " * (SOURCE_LENGTH_MAX - len(NOTHING))
    for number in range(SOURCES_LENGTH_MAX // SOURCE_LENGTH_MAX):
        last = await policies.create(actor, f"p{number}", long)
    with pytest.raises(InvalidRequest, match="together"):
        await policies.create(actor, "one more", NOTHING)
    shorter = await policies.update(actor, last.id, last.name, NOTHING)
    await policies.create(actor, "one more", NOTHING)
    with pytest.raises(InvalidRequest, match="together"):
        await policies.update(actor, shorter.id, last.name, long)


async def test_texts_are_kept_until_the_revision_passes_them(stores: Stores) -> None:
    policies, actor, project = await setting(stores)
    org, proj = actor.organization, ProjectId(project)
    texts = PolicyTexts(policies)
    assert await texts.of(org, proj, 0) == PolicySet()
    made = await policies.create(actor, "none", NOTHING)
    assert await texts.of(org, proj, 0) == PolicySet()
    assert (await texts.of(org, proj, 1)).texts == ((made.id, NOTHING),)
    await policies.delete(actor, made.id)
    assert (await texts.of(org, proj, 1)).fingerprint
    assert await texts.fresh(org, proj) == PolicySet()
    assert await texts.of(org, proj, 2) == PolicySet()


async def test_texts_of_a_store_that_went_back_are_forgotten(stores: Stores) -> None:
    policies, actor, project = await setting(stores)
    texts = PolicyTexts(policies)
    await texts.of(actor.organization, ProjectId(project), 0)
    await policies.create(actor, "none", NOTHING)
    texts.forget()
    assert (await texts.of(actor.organization, ProjectId(project), 0)).fingerprint
