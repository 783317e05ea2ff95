"""What verdicts carry of limits: read once for each place and revision, and never older than it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from helixflow.identity.caller_limits import CallerLimits
from helixflow.identity.ports import Store, Unit
from helixflow.identity.quotas import Tiers
from helixflow.identity.records import Organization, Project
from helixflow.ids import ProjectId
from helixflow.inference.principal import Principal
from helixflow.inference.quota import LimitName, Quota, Scope, ServiceClass, Share
from helixflow.settings import Settings
from helixflow.storage.prepare import Stores
from helixflow.testing.identity import some_principal
from helixflow.testing.store import add_tenant, changed, some_quota

T = TypeVar("T")

TREE: dict[str, Any] = {
    "tiers": {
        "tin": {"limits": [{"name": "requests_per_minute", "per": ["key"], "amount": 10}]},
        "gold": {"weight": 3, "service_class": "interactive"},
    },
    "default_tier": "tin",
}
DEFAULT = Quota(LimitName.REQUESTS_PER_MINUTE, (Scope.KEY,), 10)


class Counted:
    """A store that counts what it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.read`."""
        self.reads += 1
        return await self._store.read(work)

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.write`."""
        return await self._store.write(work)


class House:
    """A tenant, a caller of it, and what reads its limits."""

    def __init__(self, stores: Stores, organization: Organization, project: Project) -> None:
        self.store = Counted(stores.units)
        self.keys = stores.keys
        self.organization = organization
        self.project = project.id
        self.limits = CallerLimits(self.store, Tiers(Settings.of({"limits": TREE}).limits))
        self.caller = replace(some_principal(organization.id, project.id), subject="user_1")

    async def change(self, work: Callable[[Unit], Awaitable[None]]) -> None:
        async def noted(unit: Unit) -> None:
            await work(unit)
            unit.record(changed(self.organization.id))

        await self.store.write(noted)

    async def set(self, entity: Scope, entity_id: str = "", **more: Any) -> None:
        row = some_quota(self.organization.id, entity, entity_id, self.project, **more)
        await self.change(lambda unit: unit.quotas.add(row))

    async def of(self, who: Principal | None = None) -> Principal:
        return await self.limits.of(who or self.caller, await self.keys.revision())


@pytest.fixture
async def house(stores: Stores) -> House:
    return House(stores, *await add_tenant(stores.units))


async def test_where_nothing_is_an_organizations_own_the_default_tier_holds_unread(
    house: House,
) -> None:
    who = await house.limits.of(house.caller, 0, own=False)
    assert (who.quotas, who.share) == ((DEFAULT,), Share())
    assert house.store.reads == 0
    again = await house.limits.of(some_principal(), 0, own=False)
    assert again.quotas is who.quotas


async def test_what_holds_for_a_project_is_read_once_for_each_revision(house: House) -> None:
    await house.set(Scope.PROJECT, house.project, scopes="key", amount=20)
    first = await house.of()
    assert [quota.amount for quota in first.quotas] == [20]
    another = replace(house.caller, key=some_principal().key)
    assert (await house.of(another)).quotas is first.quotas
    assert house.store.reads == 1
    await house.set(Scope.MODEL, "m")
    assert len((await house.of()).quotas) == 2
    assert house.store.reads == 2


async def test_the_most_specific_limit_holds_for_whom_it_is_about_alone(house: House) -> None:
    await house.set(Scope.PROJECT, house.project, scopes="key", amount=20)
    await house.set(Scope.USER, "user_1", scopes="key", amount=30)
    await house.set(Scope.KEY, house.caller.key, amount=40)
    kin = replace(house.caller, key=some_principal().key)
    stranger = replace(kin, subject="")
    elsewhere = replace(stranger, project=ProjectId("proj_other"))
    callers = [house.caller, kin, stranger, elsewhere]
    told = [[quota.amount for quota in (await house.of(who)).quotas] for who in callers]
    assert told == [[40], [30], [20], [10]]


async def test_a_share_is_that_of_the_organization(house: House) -> None:
    own = replace(house.organization, tier="gold", weight=0.5)
    await house.change(lambda unit: unit.organizations.put(own))
    who = await house.of()
    assert (who.quotas, who.share) == ((), Share(0.5, ServiceClass.INTERACTIVE))


async def test_who_infers_nothing_has_no_limits(house: House) -> None:
    admin = replace(house.caller, project=ProjectId(""))
    assert await house.of(admin) is admin


async def test_a_tier_that_is_gone_is_the_default_one_and_told_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    own = replace(house.organization, tier="gone")
    await house.change(lambda unit: unit.organizations.put(own))
    with caplog.at_level(logging.WARNING):
        assert (await house.of()).quotas == (DEFAULT,)
        house.limits.forget()
        assert (await house.of()).quotas == (DEFAULT,)
    assert house.store.reads == 2
    assert [line for line in caplog.messages if "'gone'" in line] == [
        "the configuration has no tier 'gone'; the default tier holds instead"
    ]


async def test_a_caller_of_an_organization_that_is_not_there_has_the_default_tier(
    house: House,
) -> None:
    assert (await house.of(some_principal())).quotas == (DEFAULT,)


async def test_what_is_kept_is_bounded(house: House) -> None:
    limits = CallerLimits(house.store, Tiers(Settings.of({}).limits), kept_max=2)
    callers = [replace(house.caller, project=ProjectId(f"proj_{number}")) for number in range(3)]
    for who, reads in zip([*callers, callers[1], callers[0]], [1, 2, 3, 3, 4], strict=True):
        await limits.of(who, 0)
        assert house.store.reads == reads
