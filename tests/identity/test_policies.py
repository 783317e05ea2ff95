from __future__ import annotations

from dataclasses import replace

import pytest

from helixflow.errors import InvalidRequest, NotFound
from helixflow.identity.cedar import POLICIES_MAX, Circumstances, Target
from helixflow.identity.events import Actor, EventName
from helixflow.identity.policies import Policies
from helixflow.identity.ports import Unit
from helixflow.identity.projects import Projects
from helixflow.identity.records import etag
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
        with pytest.raises(InvalidRequest):
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
    with pytest.raises(InvalidRequest, match="at most"):
        await policies.create(actor, "one more", NOTHING)
