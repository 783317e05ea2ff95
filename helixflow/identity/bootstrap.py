"""The first start: the tenant that everybody begins with, its owner, and the first keys."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing
from helixflow.crypto.secret import Secret
from helixflow.errors import ConfigError
from helixflow.identity.events import Event, EventName
from helixflow.identity.keys import PEPPER_PURPOSE, KeyKind, NewKey, mac, mint
from helixflow.identity.permissions import Role, key_permissions
from helixflow.identity.ports import AlreadyThere, Installation, Store, StoredKey, Unit
from helixflow.identity.records import Membership, Organization, Project, User
from helixflow.ids import (
    OrganizationId,
    ProjectId,
    mint_key_id,
    mint_organization_id,
    mint_project_id,
    mint_user_id,
)

KEY_NAME = "bootstrap"
OWNER_EMAIL = "owner@localhost"
OWNER_NAME = "Owner"
SYSTEM = "system"
_DEFAULT = "Default"


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """The texts of the first keys, which exist nowhere else: one infers, one administers."""

    project: Secret
    admin: Secret


async def ensure_bootstrap(store: Store, ring: KeyRing, clock: Clock) -> FirstKeys | None:
    """Create the default organization with its owner, its project and keys, unless they are there.

    Returns the keys at the first start, and None later. Of several processes that start at once,
    one gets the keys.

    Raises:
        ConfigError: the database belongs to another master key; every stored key would be refused.
    """
    known = await store.read(_installation)
    if known is None:
        try:
            return await store.write(lambda unit: _install(unit, ring, clock))
        except AlreadyThere:
            known = await store.read(_installation)
    if known is None or known.master_check != ring.check_value():
        raise ConfigError(
            "the database was set up under another master key;"
            " give the one it was set up with (HELIXFLOW_MASTER_KEY, or master.key in the home)"
        )
    return None


async def mint_key(
    store: Store, ring: KeyRing, clock: Clock, kind: KeyKind, name: str = KEY_NAME
) -> Secret:
    """Another key for the default project, or another admin key of its organization."""

    async def work(unit: Unit) -> Secret:
        known = await unit.installation()
        if known is None:
            raise ConfigError("the database holds no installation; run `helixflow up` first")
        return await _add_key(unit, known, ring, clock.now(), kind, name)

    return await store.write(work)


async def _installation(unit: Unit) -> Installation | None:
    return await unit.installation()


async def _install(unit: Unit, ring: KeyRing, clock: Clock) -> FirstKeys:
    now = clock.now()
    begun = Installation(mint_organization_id(), mint_project_id(), ring.check_value(), now)
    await unit.organizations.add(Organization(begun.organization, _DEFAULT, now))
    await unit.projects.add(Project(begun.project, begun.organization, _DEFAULT, now))
    await unit.install(begun)
    unit.record(
        Event(
            EventName.INSTALLATION_CREATE,
            begun.organization,
            None,
            SYSTEM,
            begun.organization,
            now,
        )
    )
    await _add_owner(unit, begun.organization, now)
    return FirstKeys(
        await _add_key(unit, begun, ring, now, KeyKind.PROJECT, KEY_NAME),
        await _add_key(unit, begun, ring, now, KeyKind.ADMIN, KEY_NAME),
    )


async def _add_owner(unit: Unit, organization: OrganizationId, now: float) -> None:
    """An owner without a password: nobody can sign in as the owner before one is set."""
    owner = User(mint_user_id(), organization, OWNER_EMAIL, OWNER_NAME, now)
    member = Membership(
        "mem_" + secrets.token_hex(16), organization, None, owner.id, Role.OWNER, now
    )
    await unit.users.add(owner)
    await unit.memberships.add(member)
    for name in (EventName.USER_CREATE, EventName.MEMBER_CREATE):
        unit.record(Event(name, organization, None, SYSTEM, owner.id, now))


async def _add_key(
    unit: Unit, known: Installation, ring: KeyRing, now: float, kind: KeyKind, name: str
) -> Secret:
    made = mint(kind)
    project = None if kind is KeyKind.ADMIN else known.project
    key = to_store(made, ring.derive(PEPPER_PURPOSE), known.organization, project, name, now)
    await (unit.keys if project is not None else unit.admin_keys).add(key)
    unit.record(Event(EventName.KEY_CREATE, known.organization, project, SYSTEM, key.id, now))
    return made.secret


def to_store(
    made: NewKey,
    pepper: bytes,
    organization: OrganizationId,
    project: ProjectId | None,
    name: str,
    now: float,
) -> StoredKey:
    """What is kept of a key that was just minted."""
    return StoredKey(
        id=mint_key_id(),
        organization=organization,
        project=project,
        name=name,
        kind=made.kind,
        mac=mac(pepper, made.digest),
        hint=made.hint,
        permissions=key_permissions(made.kind),
        models=None,
        created_at=now,
    )
