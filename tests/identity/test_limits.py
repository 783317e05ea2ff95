"""Limits and organizations over a real store: what may be set, by whom, and what is noted of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from helixflow.crypto.master_key import MasterKey
from helixflow.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Refused,
)
from helixflow.identity import limit_room
from helixflow.identity.api_keys import ApiKeys, KeyWish
from helixflow.identity.bootstrap import ensure_bootstrap
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.limit_wish import LimitWish
from helixflow.identity.limits import Limits
from helixflow.identity.organizations import Organizations, OrganizationWish
from helixflow.identity.permissions import Permission, Role
from helixflow.identity.ports import QuotaShapes
from helixflow.identity.project_rates import ProjectRates
from helixflow.identity.quotas import Tiers
from helixflow.identity.records import StoredQuota, etag
from helixflow.identity.service_accounts import ServiceAccounts
from helixflow.identity.users import Users
from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.quota import LimitName, Scope, ServiceClass
from helixflow.settings import Settings
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.store import add_tenant, some_quota

RPM, SPEND, TOKENS = (
    LimitName.REQUESTS_PER_MINUTE,
    LimitName.SPEND_PER_DAY,
    LimitName.TOKENS_PER_MINUTE,
)
TREE: dict[str, Any] = {
    "tiers": {
        "tin": {
            "limits": [
                {"name": "requests_per_minute", "amount": 50},
                {"name": "tokens_per_minute", "per": ["model"], "amount": 1000, "hard": True},
                {"name": "tokens_per_minute", "per": ["model", "project"], "amount": 300},
            ],
        },
        "full": {
            "limits": [
                {"name": name, "per": [scope], "amount": 9}
                for scope in ("key", "model", "project", "user")
                for name in (
                    "requests_per_minute", "requests_per_hour", "requests_per_day",
                    "concurrent_requests", "tokens_per_day",
                )
            ]
        },
    },
    "default_tier": "tin",
}  # fmt: skip


@dataclass
class House:
    """A tenant that is not the first one, and the services for it."""

    stores: Stores
    clock: ManualClock
    actor: Actor
    project: ProjectId

    @property
    def limits(self) -> Limits:
        return Limits(self.stores.units, tiers(), self.clock)

    @property
    def organizations(self) -> Organizations:
        return Organizations(self.stores.units, tiers(), self.clock)

    @property
    def rates(self) -> ProjectRates:
        return ProjectRates(self.stores.units, self.limits)

    @property
    def keys(self) -> ApiKeys:
        return ApiKeys(self.stores.units, b"pepper", self.clock)

    async def set(self, entity: Scope, entity_id: str | None = None, **more: Any) -> StoredQuota:
        wish = {"name": RPM, "amount": 7, **more}
        return await self.limits.create(self.actor, LimitWish(entity, entity_id, **wish))

    async def events(self) -> list[Event]:
        return [outgoing.event for outgoing in await self.stores.outbox.head(1000)]

    async def details(self, name: EventName) -> list[Mapping[str, str]]:
        return [event.detail for event in await self.events() if event.name is name]


def tiers() -> Tiers:
    return Tiers(Settings.of({"limits": TREE}).limits)


@pytest.fixture
async def house(stores: Stores) -> House:
    await ensure_bootstrap(stores.units, MasterKey(b"m" * 32), ManualClock())
    organization, project = await add_tenant(stores.units)
    actor = Actor(organization.id, "key_admin", frozenset(Permission))
    return House(stores, ManualClock(), actor, project.id)


@pytest.fixture
async def first(house: House) -> House:
    """The same for the platform's own organization."""
    begun = await house.stores.units.read(lambda unit: unit.installation())
    assert begun is not None
    return replace(house, actor=replace(house.actor, organization=begun.organization),
                   project=begun.project)  # fmt: skip


class TestMaking:
    async def test_a_limit_is_about_any_kind_of_entity(self, house: House) -> None:
        users = Users(house.stores.units, house.clock)
        user = await users.create(house.actor, "a@one.test", "Ada", Role.VIEWER)
        robots = ServiceAccounts(house.stores.units, house.keys, house.clock)
        robot = await robots.create(house.actor, house.project, "robot", KeyWish("robot"))
        key = (await house.keys.create(house.actor, house.project, KeyWish("k"))).key
        outsider = "oidc_" + "0a" * 16
        made = [
            await house.set(Scope.ORGANIZATION),
            await house.set(Scope.ORGANIZATION, house.actor.organization, per=("key",)),
            await house.set(Scope.PROJECT, house.project),
            await house.set(Scope.PROJECT, house.project, per=("user", "project")),
            await house.set(Scope.USER, user.id),
            await house.set(Scope.USER, robot.account.id, per=("key",)),
            await house.set(Scope.USER, outsider),
            await house.set(Scope.KEY, key.id),
            await house.set(Scope.KEY, key.id, model="m"),
            await house.set(Scope.MODEL, "m"),
        ]
        assert [(row.entity.value, row.scopes, row.model, row.project) for row in made] == [
            ("organization", "organization", "", None),
            ("organization", "key", "", None),
            ("project", "project", "", house.project),
            ("project", "project,user", "", house.project),
            ("user", "user", "", None),
            ("user", "key", "", house.project),
            ("user", "user", "", None),
            ("key", "key", "", house.project),
            ("key", "key,model", "m", house.project),
            ("model", "model", "m", None),
        ]
        page = await house.limits.page(house.actor, limit=100)
        assert {row.id for row in page.items} == {row.id for row in made}
        of_key = await house.limits.page(house.actor, entity=Scope.KEY, entity_id=key.id)
        assert {row.id for row in of_key.items} == {made[7].id, made[8].id}
        assert await house.limits.get(house.actor, made[0].id) == made[0]

    async def test_what_the_organization_says_of_a_model_is_about_that_model(
        self, house: House
    ) -> None:
        made = await house.set(Scope.ORGANIZATION, model="m", per=("model", "project"))
        assert (made.entity, made.entity_id, made.model) == (Scope.MODEL, "m", "m")
        with pytest.raises(Conflict, match="exists already"):
            await house.set(Scope.MODEL, "m", per=("project", "model"))

    async def test_an_amount_of_spend_is_in_dollars(self, house: House) -> None:
        made = await house.set(Scope.ORGANIZATION, name=SPEND, amount=0.1 + 0.2, hard=True)
        assert (made.amount, made.hard) == (300_000_000, True)

    @pytest.mark.parametrize(
        ("entity", "wish", "param"),
        [
            (Scope.PROJECT, {}, "entity_id"),
            (Scope.PROJECT, {"entity_id": "p", "per": ("model",)}, "per"),
            (Scope.PROJECT, {"entity_id": "p", "per": ("user",)}, "per"),
            (Scope.KEY, {"entity_id": "k", "per": ("project",)}, "per"),
            (Scope.USER, {"entity_id": "u", "per": ("project",)}, "per"),
            (Scope.MODEL, {"entity_id": "m", "per": ("key",)}, "per"),
            (Scope.MODEL, {"entity_id": "m", "model": "n"}, "model"),
            (Scope.MODEL, {"entity_id": "no model"}, "model"),
            (Scope.MODEL, {}, "entity_id"),
            (Scope.ORGANIZATION, {"per": ("organization", "key")}, "per"),
            (Scope.ORGANIZATION, {"per": ("key", "model", "user")}, "per"),
            (Scope.ORGANIZATION, {"model": "m", "per": ("key",)}, "per"),
            (Scope.ORGANIZATION, {"hard": True}, "hard"),
            (Scope.ORGANIZATION, {"amount": 0.5}, "amount"),
            (Scope.ORGANIZATION, {"amount": float("inf")}, "amount"),
            (Scope.ORGANIZATION, {"amount": float("nan")}, "amount"),
            (Scope.ORGANIZATION, {"amount": 1e300, "name": SPEND}, "amount"),
            (Scope.ORGANIZATION, {"amount": -1.0}, "amount"),
        ],
    )
    async def test_what_cannot_be_is_refused_by_its_field(
        self, house: House, entity: Scope, wish: dict[str, Any], param: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            await house.set(entity, **wish)
        assert caught.value.param == param

    async def test_what_is_not_there_and_what_is_anothers_are_refused_alike(
        self, house: House, first: House
    ) -> None:
        key = (await first.keys.create(first.actor, first.project, KeyWish("k"))).key
        users = Users(first.stores.units, first.clock)
        user = await users.create(first.actor, "b@one.test", "Bob", Role.VIEWER)
        robots = ServiceAccounts(first.stores.units, first.keys, first.clock)
        robot = await robots.create(first.actor, first.project, "robot", KeyWish("robot"))
        theirs = await first.set(Scope.ORGANIZATION)
        for entity, foreign in (
            (Scope.ORGANIZATION, first.actor.organization),
            (Scope.PROJECT, first.project),
            (Scope.KEY, key.id),
            (Scope.USER, user.id),
            (Scope.USER, robot.account.id),
        ):
            told = []
            for named in (foreign, "svc_acct_x" if foreign == robot.account.id else "missing"):
                with pytest.raises(NotFound) as caught:
                    await house.set(entity, named)
                told.append(caught.value.to_wire())
            assert told[0] == told[1]
        for work in (
            house.limits.get(house.actor, theirs.id),
            house.limits.update(house.actor, theirs.id, 5),
            house.limits.delete(house.actor, theirs.id),
        ):
            with pytest.raises(NotFound):
                await work
        assert (await house.limits.page(house.actor)).items == ()

    async def test_an_admin_key_has_no_limits(self, house: House) -> None:
        key = (await house.keys.create(house.actor, None, KeyWish("admin"))).key
        with pytest.raises(InvalidRequest, match="does not infer"):
            await house.set(Scope.KEY, key.id)

    async def test_a_list_of_what_no_entity_is_called_is_refused(self, house: House) -> None:
        with pytest.raises(InvalidRequest):
            await house.limits.page(house.actor, entity_id="\x00")


class TestChanging:
    async def test_an_amount_is_changed_by_who_saw_it_last(self, house: House) -> None:
        made = await house.set(Scope.PROJECT, house.project, name=TOKENS)
        house.clock.advance(5)
        changed = await house.limits.update(house.actor, made.id, 9, hard=True, if_match=etag(made))
        assert (changed.amount, changed.hard) == (9, True)
        assert changed.updated_at == made.updated_at + 5
        with pytest.raises(PreconditionFailed):
            await house.limits.update(house.actor, made.id, 11, if_match=etag(made))
        assert await house.limits.update(house.actor, made.id) == changed
        assert await house.limits.get(house.actor, made.id) == changed
        with pytest.raises(InvalidRequest):
            await house.limits.update(house.actor, made.id, 0.5)

    async def test_requests_cannot_be_made_hard(self, house: House) -> None:
        made = await house.set(Scope.PROJECT, house.project)
        with pytest.raises(InvalidRequest, match="for tokens and spend"):
            await house.limits.update(house.actor, made.id, hard=True)

    async def test_every_change_is_an_event_with_what_was_and_what_is(self, house: House) -> None:
        made = await house.set(Scope.PROJECT, house.project, name=SPEND, amount=2.5)
        before = await house.stores.keys.revision()
        await house.limits.update(house.actor, made.id, 4)
        assert await house.stores.keys.revision() == before + 1
        await house.limits.update(house.actor, made.id, 4)
        assert await house.stores.keys.revision() == before + 1
        await house.limits.delete(house.actor, made.id)
        about = {
            "entity": f"project {house.project}", "name": "spend_per_day", "per": "project",
            "model": "each",
        }  # fmt: skip
        assert [
            (event.name, event.detail, event.project, event.target, event.actor)
            for event in await house.events()
            if event.target == made.id
        ] == [
            (name, {**about, **detail}, house.project, made.id, house.actor.id)
            for name, detail in (
                (EventName.LIMIT_CREATE, {"amount.after": "2.5", "hard.after": "false"}),
                (EventName.LIMIT_UPDATE, {"amount.before": "2.5", "amount.after": "4.0"}),
                (EventName.LIMIT_DELETE, {"amount.before": "4.0", "hard.before": "false"}),
            )
        ]

    async def test_a_key_that_is_rotated_keeps_its_limits(self, house: House) -> None:
        key = (await house.keys.create(house.actor, house.project, KeyWish("k"))).key
        made = await house.set(Scope.KEY, key.id)
        fresh = (await house.keys.rotate(house.actor, house.project, key.id, 60.0)).key
        (copied,) = (
            await house.limits.page(house.actor, entity=Scope.KEY, entity_id=fresh.id)
        ).items
        assert (copied.quota, copied.project) == (made.quota, made.project)
        assert await house.limits.get(house.actor, made.id) == made

    async def test_limits_go_with_the_user_that_they_are_about(self, house: House) -> None:
        users = Users(house.stores.units, house.clock)
        user = await users.create(house.actor, "a@one.test", "Ada", Role.VIEWER)
        made = await house.set(Scope.USER, user.id)
        await users.remove(house.actor, user.id)
        with pytest.raises(NotFound):
            await house.limits.get(house.actor, made.id)
        assert len(await house.details(EventName.LIMIT_DELETE)) == 1


class TestRoom:
    async def test_a_request_is_under_twenty_limits_at_most(self, first: House) -> None:
        await first.organizations.update(first.actor, OrganizationWish("o", tier="full"))
        await first.set(Scope.KEY, (await self._key(first)), amount=3)
        await first.set(Scope.PROJECT, first.project, per=("project",), model="")
        with pytest.raises(Conflict, match="20 limits at most"):
            await first.set(Scope.ORGANIZATION, name=SPEND)
        await first.organizations.update(first.actor, OrganizationWish("o"))
        await first.set(Scope.ORGANIZATION, name=SPEND)
        with pytest.raises(Conflict, match="would be 21"):
            await first.organizations.update(first.actor, OrganizationWish("o", tier="full"))

    async def _key(self, house: House) -> str:
        return (await house.keys.create(house.actor, house.project, KeyWish("k"))).key.id

    async def test_models_are_named_in_a_bounded_number_of_limits(self, house: House) -> None:
        rows = [
            some_quota(house.actor.organization, Scope.MODEL, f"m{number}")
            for number in range(limit_room.SHAPES_MAX)
        ]

        async def fill(unit: Any) -> None:
            for row in rows:
                await unit.quotas.add(row)

        await house.stores.units.write(fill)
        with pytest.raises(Conflict, match="200 kinds"):
            await house.set(Scope.MODEL, "another")

    async def test_there_are_so_many_limits_and_no_more(self, house: House) -> None:
        class Full:
            """A unit in which every look-up finds an organization that is full."""

            async def quota_shapes(self, organization: OrganizationId) -> Any:
                return QuotaShapes(limit_room.ROWS_MAX, frozenset())

        with pytest.raises(Conflict, match="10000 limits"):
            await limit_room.require_room(
                Full(),  # type: ignore[arg-type]
                tiers().of(None),
                some_quota(house.actor.organization),
            )


class TestGifts:
    """What an organization may use as a whole is the platform's to give."""

    async def test_a_tenant_can_tighten_what_its_tier_says_of_all_of_it(self, house: House) -> None:
        made = await house.set(Scope.ORGANIZATION, amount=50)
        await house.limits.update(house.actor, made.id, 20)
        with pytest.raises(Forbidden, match="than its tier gives"):
            await house.limits.update(house.actor, made.id, 51)
        one = await house.set(Scope.MODEL, "m", name=TOKENS, amount=900, hard=True)
        with pytest.raises(Forbidden):
            await house.limits.update(house.actor, one.id, hard=False)
        with pytest.raises(Forbidden):
            await house.set(Scope.MODEL, "n", name=TOKENS, amount=1001, hard=True)

    async def test_how_it_divides_what_it_has_is_its_own(self, house: House) -> None:
        await house.set(Scope.PROJECT, house.project, amount=10**9)
        await house.set(Scope.ORGANIZATION, name=SPEND, amount=10**6)
        await house.rates.update(house.actor, house.project, "m", {TOKENS: 10**9})

    async def test_the_platforms_own_organization_takes_what_it_wants(self, first: House) -> None:
        await first.set(Scope.ORGANIZATION, amount=10**9)

    @pytest.mark.parametrize(
        "gift",
        [{"tier": "full"}, {"weight": 9.0}, {"service_class": ServiceClass.CRITICAL}],
        ids=str,
    )
    async def test_a_tenant_does_not_choose_its_share(
        self, house: House, gift: dict[str, Any]
    ) -> None:
        with pytest.raises(Forbidden, match="first organization"):
            await house.organizations.update(house.actor, OrganizationWish("mine", **gift))
        assert await house.details(EventName.ORGANIZATION_UPDATE) == []


class TestOrganizations:
    async def test_it_is_renamed_by_its_own(self, house: House) -> None:
        before = await house.organizations.get(house.actor)
        renamed = await house.organizations.update(house.actor, OrganizationWish(" Acme "))
        assert await house.organizations.get(house.actor) == renamed
        assert renamed == replace(before, name="Acme")
        with pytest.raises(PreconditionFailed):
            await house.organizations.update(house.actor, OrganizationWish("B"), '"stale"')
        await house.organizations.update(house.actor, OrganizationWish("Acme"), etag(renamed))
        assert await house.details(EventName.ORGANIZATION_UPDATE) == [
            {"name.before": before.name, "name.after": "Acme"}
        ]

    async def test_the_first_one_is_given_a_tier_and_a_share(self, first: House) -> None:
        wish = OrganizationWish("o", "full", 2.5, ServiceClass.BATCH)
        given = await first.organizations.update(first.actor, wish)
        assert (given.tier, given.weight, given.service_class) == ("full", 2.5, ServiceClass.BATCH)
        assert first.organizations.tier(given).name == "full"
        back = await first.organizations.update(first.actor, OrganizationWish("o"))
        assert first.organizations.tier(back).name == "tin"
        assert (await first.details(EventName.ORGANIZATION_UPDATE))[-1] == {
            "service_class.before": "batch", "tier.before": "full", "weight.before": "2.5",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("wish", "param"),
        [
            ({"tier": "gone"}, "tier"),
            ({"weight": 0.0}, "weight"),
            ({"weight": float("nan")}, "weight"),
            ({"weight": 1e9}, "weight"),
        ],
    )
    async def test_what_cannot_be_is_refused(
        self, first: House, wish: dict[str, Any], param: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            await first.organizations.update(first.actor, OrganizationWish("o", **wish))
        assert caught.value.param == param
        with pytest.raises(InvalidRequest, match="one line"):
            await first.organizations.update(first.actor, OrganizationWish(""))


class TestRates:
    async def test_they_show_what_holds_per_model_and_project(self, house: House) -> None:
        await house.set(Scope.MODEL, "m", name=TOKENS, per=("model", "project"), amount=70)
        rates = await house.rates.of(house.actor, house.project, ["m", "n"])
        assert [dict(one.amounts) for one in rates] == [{TOKENS: 70}, {TOKENS: 300}]

    async def test_they_are_set_and_taken_away_as_limits_of_the_project(self, house: House) -> None:
        where = (house.actor, house.project, "m")
        assert (await house.rates.update(*where, {RPM: 5, TOKENS: 80})).amounts == {
            RPM: 5, TOKENS: 80,
        }  # fmt: skip
        assert (await house.rates.update(*where, {RPM: 6})).amounts[RPM] == 6
        rows = (await house.limits.page(house.actor)).items
        assert {(row.entity, row.scopes, row.model, row.amount) for row in rows} == {
            (Scope.PROJECT, "model,project", "m", 6), (Scope.PROJECT, "model,project", "m", 80),
        }  # fmt: skip
        back = await house.rates.update(*where, {RPM: None, TOKENS: None})
        assert back.amounts == {TOKENS: 300}
        assert (await house.rates.update(*where, {RPM: None})).amounts == {TOKENS: 300}
        assert len(await house.details(EventName.LIMIT_DELETE)) == 2

    @pytest.mark.parametrize("amount", [0, -1, 10**17])
    async def test_no_amount_is_out_of_bounds(self, house: House, amount: int) -> None:
        where = (house.actor, house.project, "m")
        with pytest.raises(InvalidRequest):
            await house.rates.update(*where, {RPM: amount})
        await house.rates.update(*where, {RPM: 5})
        with pytest.raises(InvalidRequest):
            await house.rates.update(*where, {RPM: amount})

    async def test_another_tenants_project_is_not_there(self, house: House, first: House) -> None:
        for work in (
            house.rates.of(house.actor, first.project, ["m"]),
            house.rates.update(house.actor, first.project, "m", {RPM: 1}),
        ):
            with pytest.raises(Refused) as caught:
                await work
            assert isinstance(caught.value, NotFound)
