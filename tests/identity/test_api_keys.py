from __future__ import annotations

import pytest

from helixflow.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed, Refusal
from helixflow.identity.api_keys import ApiKeys, Issued, KeyWish
from helixflow.identity.authority import KeyAuthority
from helixflow.identity.events import Actor, EventName
from helixflow.identity.keys import KeyKind, digest, parse
from helixflow.identity.permissions import ADMINISTRATION, INFERENCE
from helixflow.identity.ports import Verdict
from helixflow.identity.projects import Projects
from helixflow.identity.records import etag
from helixflow.identity.service_accounts import ServiceAccounts
from helixflow.ids import KeyId, ProjectId
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import PEPPER
from helixflow.testing.store import add_tenant


class Desk:
    """A tenant with everything that makes keys."""

    def __init__(self, stores: Stores, actor: Actor, project: ProjectId) -> None:
        self.stores, self.actor, self.project = stores, actor, project
        self.clock = ManualClock()
        self.keys = ApiKeys(stores.units, PEPPER, self.clock)
        self.accounts = ServiceAccounts(stores.units, self.keys, self.clock)
        self.projects = Projects(stores.units, self.clock)
        self.authority = KeyAuthority(stores.keys, PEPPER, self.clock)

    async def verify(self, issued: Issued) -> Verdict:
        return await self.authority.verify(digest(issued.secret.reveal()))

    async def reason(self, issued: Issued) -> Refusal | None:
        refused = (await self.verify(issued)).refused
        return None if refused is None else refused.reason

    async def events(self) -> list[EventName]:
        return [outgoing.event.name for outgoing in await self.stores.outbox.head(100)]


async def open_desk(stores: Stores) -> Desk:
    organization, project = await add_tenant(stores.units)
    return Desk(stores, Actor(organization.id, "user_admin"), project.id)


@pytest.fixture
async def desk(stores: Stores) -> Desk:
    return await open_desk(stores)


async def test_a_project_key_infers_and_an_admin_key_administers(desk: Desk) -> None:
    project = await desk.keys.create(desk.actor, desk.project, KeyWish("app"))
    admin = await desk.keys.create(desk.actor, None, KeyWish("ops"))
    assert parse(project.secret.reveal()) is KeyKind.PROJECT
    assert parse(admin.secret.reveal()) is KeyKind.ADMIN
    one, two = (await desk.verify(project)).principal, (await desk.verify(admin)).principal
    assert one is not None
    assert two is not None
    assert (one.permissions, one.project) == (INFERENCE, desk.project)
    assert (two.permissions, two.project) == (ADMINISTRATION, "")
    assert await desk.events() == [EventName.KEY_CREATE] * 2


async def test_what_a_key_is_limited_to_comes_with_its_verdict(desk: Desk) -> None:
    wish = KeyWish(
        "narrow",
        scopes=["model:list"],
        models=["a"],
        cidrs=["10.0.0.0/8", "::1"],
        expires_at=desk.clock.now() + 60,
    )
    verdict = await desk.verify(await desk.keys.create(desk.actor, desk.project, wish))
    assert verdict.principal is not None
    assert verdict.principal.permissions == {"model:list"}
    assert verdict.principal.models == {"a"}
    assert verdict.cidrs == ("10.0.0.0/8", "::1/128")
    assert verdict.expires_at == desk.clock.now() + 60
    assert Verdict.from_wire(verdict.to_wire()) == verdict


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        (KeyWish(""), "name"),
        (KeyWish("k", scopes=["key:create"]), "scopes"),
        (KeyWish("k", scopes=[]), "scopes"),
        (KeyWish("k", models=[]), "allowed_models"),
        (KeyWish("k", cidrs=["10.0.0.1/8"]), "allowed_cidrs"),
        (KeyWish("k", cidrs=[]), "allowed_cidrs"),
        (KeyWish("k", expires_at=0.0), "expires_at"),
        (KeyWish("k", expires_at=float("inf")), "expires_at"),
        (KeyWish("k", expires_at=float("nan")), "expires_at"),
    ],
)
async def test_a_wish_that_cannot_be_is_refused(desk: Desk, wish: KeyWish, param: str) -> None:
    for project in (desk.project, None):
        if project is None and param == "scopes" and wish.scopes:
            continue
        with pytest.raises(InvalidRequest) as caught:
            await desk.keys.create(desk.actor, project, wish)
        assert caught.value.param == param
    assert await desk.events() == []


async def test_a_revoked_key_is_refused_and_stays_in_the_list(desk: Desk) -> None:
    for project in (desk.project, None):
        issued = await desk.keys.create(desk.actor, project, KeyWish("k"))
        revoked = await desk.keys.revoke(desk.actor, project, issued.key.id)
        desk.clock.advance(1)
        assert await desk.keys.revoke(desk.actor, project, issued.key.id) == revoked
        assert await desk.reason(issued) is Refusal.INVALID_API_KEY
        assert (await desk.keys.page(desk.actor, project)).items == (revoked,)
        for change in (
            desk.keys.rotate(desk.actor, project, issued.key.id, 5),
            desk.keys.update(desk.actor, project, issued.key.id, KeyWish("again")),
        ):
            with pytest.raises(Conflict, match="revoked"):
                await change


async def test_rotation_leaves_both_keys_for_the_overlap(desk: Desk) -> None:
    wish = KeyWish("k", models=["a"])
    old = await desk.keys.create(desk.actor, desk.project, wish)
    new = await desk.keys.rotate(desk.actor, desk.project, old.key.id, 60)
    assert (new.key.name, new.key.models) == ("k", {"a"})
    assert await desk.reason(old) is None
    assert await desk.reason(new) is None
    desk.clock.advance(60)
    assert await desk.reason(old) is Refusal.EXPIRED_API_KEY
    assert await desk.reason(new) is None
    assert await desk.events() == [EventName.KEY_CREATE, EventName.KEY_ROTATE]


async def test_rotation_without_overlap_ends_the_old_key_at_once(desk: Desk) -> None:
    old = await desk.keys.create(desk.actor, None, KeyWish("k"))
    new = await desk.keys.rotate(desk.actor, None, old.key.id, 0)
    assert await desk.reason(old) is Refusal.INVALID_API_KEY
    assert await desk.reason(new) is None


async def test_rotation_never_lengthens_a_life(desk: Desk) -> None:
    end = desk.clock.now() + 10
    old = await desk.keys.create(desk.actor, desk.project, KeyWish("k", expires_at=end))
    await desk.keys.rotate(desk.actor, desk.project, old.key.id, 60)
    assert (await desk.keys.get(desk.actor, desk.project, old.key.id)).expires_at == end
    for overlap_s in (-1, 1e9, float("nan")):
        with pytest.raises(InvalidRequest):
            await desk.keys.rotate(desk.actor, desk.project, old.key.id, overlap_s)


async def test_an_update_replaces_the_limits(desk: Desk) -> None:
    issued = await desk.keys.create(desk.actor, desk.project, KeyWish("k", models=["a"]))
    updated = await desk.keys.update(
        desk.actor, desk.project, issued.key.id, KeyWish("l"), etag(issued.key)
    )
    assert (updated.name, updated.models) == ("l", None)
    with pytest.raises(PreconditionFailed):
        await desk.keys.update(
            desk.actor, desk.project, issued.key.id, KeyWish("m"), etag(issued.key)
        )


async def test_another_tenants_keys_do_not_exist(desk: Desk, stores: Stores) -> None:
    other = await open_desk(stores)
    theirs = await other.keys.create(other.actor, other.project, KeyWish("theirs"))
    admin = await other.keys.create(other.actor, None, KeyWish("theirs"))
    for project, key in (
        (other.project, theirs.key.id),
        (desk.project, theirs.key.id),
        (None, theirs.key.id),
        (None, admin.key.id),
        (desk.project, KeyId("none")),
    ):
        for call in (
            desk.keys.get(desk.actor, project, key),
            desk.keys.revoke(desk.actor, project, key),
            desk.keys.rotate(desk.actor, project, key, 0),
            desk.keys.update(desk.actor, project, key, KeyWish("mine")),
        ):
            with pytest.raises(NotFound):
                await call
    with pytest.raises(NotFound):
        await desk.keys.page(desk.actor, other.project)
    with pytest.raises(NotFound):
        await desk.keys.create(desk.actor, other.project, KeyWish("mine"))
    assert await other.reason(theirs) is None


async def test_an_archived_project_ends_its_keys_and_takes_no_new_ones(desk: Desk) -> None:
    issued = await desk.keys.create(desk.actor, desk.project, KeyWish("k"))
    await desk.projects.archive(desk.actor, desk.project)
    assert await desk.reason(issued) is Refusal.INVALID_API_KEY
    with pytest.raises(Conflict, match="archived"):
        await desk.keys.create(desk.actor, desk.project, KeyWish("k"))


async def test_a_service_account_comes_with_a_key_and_ends_with_its_keys(desk: Desk) -> None:
    made = await desk.accounts.create(desk.actor, desk.project, "robot")
    second = await desk.accounts.create_key(
        desk.actor, desk.project, made.account.id, KeyWish("second")
    )
    assert parse(made.issued.secret.reveal()) is KeyKind.SERVICE
    assert made.issued.key.service_account == made.account.id
    assert await desk.reason(made.issued) is None
    disabled = await desk.accounts.disable(desk.actor, desk.project, made.account.id)
    assert await desk.accounts.disable(desk.actor, desk.project, made.account.id) == disabled
    assert await desk.accounts.get(desk.actor, desk.project, made.account.id) == disabled
    for issued in (made.issued, second):
        assert await desk.reason(issued) is Refusal.INVALID_API_KEY
    with pytest.raises(Conflict, match="disabled"):
        await desk.accounts.create_key(desk.actor, desk.project, made.account.id, KeyWish("third"))
    assert (await desk.accounts.page(desk.actor, desk.project)).items == (disabled,)


async def test_a_service_account_that_cannot_be_made_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(InvalidRequest):
        await desk.accounts.create(desk.actor, desk.project, "robot", KeyWish("k", models=[]))
    with pytest.raises(NotFound):
        await desk.accounts.create(desk.actor, ProjectId("none"), "robot")
    assert (await desk.accounts.page(desk.actor, desk.project)).items == ()
    assert await desk.stores.keys.revision() == 0
