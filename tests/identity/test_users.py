from __future__ import annotations

import pytest

from helixflow.errors import Conflict, Forbidden, InvalidRequest, NotFound
from helixflow.identity.events import Actor, EventName
from helixflow.identity.permissions import ROLE_PERMISSIONS, Role
from helixflow.identity.users import Users
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.store import add_tenant

OWNER = ROLE_PERMISSIONS[Role.OWNER]
ADMIN = ROLE_PERMISSIONS[Role.ADMIN]


async def setting(stores: Stores) -> tuple[Users, Actor, Actor, str]:
    """The service, an owner, an admin of the same organization, and its project."""
    organization, project = await add_tenant(stores.units)
    users = Users(stores.units, ManualClock())
    owner = Actor(organization.id, "user_owner", OWNER)
    return users, owner, Actor(organization.id, "user_admin", ADMIN), project.id


async def test_a_user_has_the_permissions_of_all_its_roles(stores: Stores) -> None:
    users, owner, _, project = await setting(stores)
    ada = await users.create(owner, " Ada@Example.org ", "Ada", Role.VIEWER)
    assert ada.email == "ada@example.org"
    organization = owner.organization
    viewer = ROLE_PERMISSIONS[Role.VIEWER]
    assert await users.permissions(organization, ada.id, project) == viewer  # type: ignore[arg-type]
    await users.set_role(owner, ada.id, project, Role.DEVELOPER)  # type: ignore[arg-type]
    both = viewer | ROLE_PERMISSIONS[Role.DEVELOPER]
    assert await users.permissions(organization, ada.id, project) == both  # type: ignore[arg-type]
    assert await users.permissions(organization, ada.id, "proj_other") == viewer  # type: ignore[arg-type]
    await users.set_role(owner, ada.id, project, Role.AUDITOR)  # type: ignore[arg-type]
    await users.leave(owner, ada.id, project)  # type: ignore[arg-type]
    assert await users.permissions(organization, ada.id, project) == viewer  # type: ignore[arg-type]
    names = [outgoing.event.name for outgoing in await stores.outbox.head(99)]
    assert names == [
        EventName.USER_CREATE,
        EventName.MEMBER_CREATE,
        EventName.MEMBER_CREATE,
        EventName.MEMBER_UPDATE,
        EventName.MEMBER_DELETE,
    ]


async def test_an_address_is_taken_once_per_organization(stores: Stores) -> None:
    users, owner, _, _ = await setting(stores)
    await users.create(owner, "ada@example.org", "Ada", Role.VIEWER)
    with pytest.raises(Conflict) as caught:
        await users.create(owner, "ADA@example.org", "Ada", Role.VIEWER)
    assert caught.value.param == "email"
    _, elsewhere, _, _ = await setting(stores)
    await users.create(elsewhere, "ada@example.org", "Ada", Role.VIEWER)


@pytest.mark.parametrize("email", ["", "ada", "a b@c", "@b", "a@", "a\x00@b", "é@b", "a@b\n"])
async def test_what_is_no_address_is_refused(stores: Stores, email: str) -> None:
    users, owner, _, _ = await setting(stores)
    if email.strip() != email:
        assert (await users.create(owner, email, "Ada", Role.VIEWER)).email == email.strip()
        return
    with pytest.raises(InvalidRequest):
        await users.create(owner, email, "Ada", Role.VIEWER)


async def test_only_an_owner_makes_and_unmakes_owners(stores: Stores) -> None:
    users, owner, admin, _ = await setting(stores)
    first = await users.create(owner, "1@example.org", "One", Role.OWNER)
    second = await users.create(admin, "2@example.org", "Two", Role.ADMIN)
    for call in (
        users.create(admin, "3@example.org", "Three", Role.OWNER),
        users.set_role(admin, second.id, None, Role.OWNER),
        users.set_role(admin, first.id, None, Role.VIEWER),
        users.leave(admin, first.id, None),
    ):
        with pytest.raises(Forbidden):
            await call


async def test_the_last_owner_who_can_act_stays(stores: Stores) -> None:
    users, owner, _, _ = await setting(stores)
    first = await users.create(owner, "1@example.org", "One", Role.OWNER)
    second = await users.create(owner, "2@example.org", "Two", Role.OWNER)
    disabled = await users.disable(owner, second.id)
    assert await users.disable(owner, second.id) == disabled
    for call in (
        users.disable(owner, first.id),
        users.set_role(owner, first.id, None, Role.ADMIN),
        users.leave(owner, first.id, None),
    ):
        with pytest.raises(Conflict, match="at least one owner"):
            await call
    viewer = await users.create(owner, "3@example.org", "Three", Role.VIEWER)
    await users.disable(owner, viewer.id)


async def test_another_tenants_users_do_not_exist(stores: Stores) -> None:
    users, owner, _, project = await setting(stores)
    _, other, _, _ = await setting(stores)
    theirs = await users.create(other, "ada@example.org", "Ada", Role.VIEWER)
    for call in (
        users.get(owner, theirs.id),
        users.disable(owner, theirs.id),
        users.set_role(owner, theirs.id, None, Role.VIEWER),
        users.leave(owner, theirs.id, None),
        users.set_role(other, theirs.id, project, Role.VIEWER),  # type: ignore[arg-type]
        users.leave(other, theirs.id, project),  # type: ignore[arg-type]
    ):
        with pytest.raises(NotFound):
            await call
    assert (await users.page(owner)).items == ()
    assert (await users.page(other)).items == (theirs,)
    assert await users.get(other, theirs.id) == theirs
