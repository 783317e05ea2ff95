from __future__ import annotations

import pytest

from helixflow.crypto.master_key import MasterKey
from helixflow.errors import ConfigError
from helixflow.identity.authority import KeyAuthority
from helixflow.identity.bootstrap import OWNER_EMAIL, FirstKeys, ensure_bootstrap, mint_key
from helixflow.identity.keys import PEPPER_PURPOSE, KeyKind, digest
from helixflow.identity.permissions import ADMINISTRATION, INFERENCE, Role
from helixflow.inference.principal import Principal
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock

RING = MasterKey(b"m" * 32)


async def caller(stores: Stores, text: str) -> Principal:
    authority = KeyAuthority(stores.keys, RING.derive(PEPPER_PURPOSE), ManualClock())
    principal = (await authority.verify(digest(text))).principal
    assert principal is not None
    return principal


async def first_keys(stores: Stores) -> FirstKeys:
    first = await ensure_bootstrap(stores.units, RING, ManualClock())
    assert first is not None
    return first


async def test_the_first_start_gives_two_keys_and_the_second_none(stores: Stores) -> None:
    first = await first_keys(stores)
    infers = await caller(stores, first.project.reveal())
    administers = await caller(stores, first.admin.reveal())
    assert (infers.permissions, administers.permissions) == (INFERENCE, ADMINISTRATION)
    assert infers.organization == administers.organization
    assert administers.project == ""
    assert await ensure_bootstrap(stores.units, RING, ManualClock()) is None
    assert await stores.keys.revision() == 1


async def test_the_default_organization_has_an_owner_who_has_no_password(stores: Stores) -> None:
    organization = (await caller(stores, (await first_keys(stores)).admin.reveal())).organization
    (owner,) = await stores.units.read(lambda unit: unit.users.where(organization))
    (member,) = await stores.units.read(lambda unit: unit.memberships.where(organization))
    assert (owner.email, owner.password) == (OWNER_EMAIL, None)
    assert (member.user, member.project, member.role) == (owner.id, None, Role.OWNER)


async def test_another_master_key_is_refused(stores: Stores) -> None:
    await first_keys(stores)
    with pytest.raises(ConfigError, match="another master key"):
        await ensure_bootstrap(stores.units, MasterKey(b"n" * 32), ManualClock())


async def test_another_key_of_each_kind_can_be_minted(stores: Stores) -> None:
    clock = ManualClock()
    with pytest.raises(ConfigError, match="no installation"):
        await mint_key(stores.units, RING, clock, KeyKind.PROJECT)
    first = await first_keys(stores)
    spare = await mint_key(stores.units, RING, clock, KeyKind.PROJECT, "spare")
    admin = await mint_key(stores.units, RING, clock, KeyKind.ADMIN)
    one, two = await caller(stores, first.project.reveal()), await caller(stores, spare.reveal())
    assert (one.project, two.name) == (two.project, "spare")
    assert (await caller(stores, admin.reveal())).permissions == ADMINISTRATION
