"""The first start: the tenant that everybody begins with, and the first key."""

from __future__ import annotations

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing
from helixflow.crypto.secret import Secret
from helixflow.errors import ConfigError
from helixflow.identity.events import Event, EventName
from helixflow.identity.keys import PEPPER_PURPOSE, KeyKind, NewKey, mac, mint
from helixflow.identity.permissions import key_permissions
from helixflow.identity.ports import AlreadyThere, Installation, Store, StoredKey, Unit
from helixflow.identity.records import Organization, Project
from helixflow.ids import (
    OrganizationId,
    ProjectId,
    mint_key_id,
    mint_organization_id,
    mint_project_id,
)

KEY_NAME = "bootstrap"
SYSTEM = "system"
_DEFAULT = "Default"


async def ensure_bootstrap(store: Store, ring: KeyRing, clock: Clock) -> Secret | None:
    """Create the default organization, its project and a key, unless that was done before.

    Returns the key's text, which exists nowhere else, at the first start, and None later. Of
    several processes that start at once, one gets the key.

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


async def mint_project_key(
    store: Store, ring: KeyRing, clock: Clock, name: str = KEY_NAME
) -> Secret:
    """Another key for the default project."""

    async def work(unit: Unit) -> Secret:
        known = await unit.installation()
        if known is None:
            raise ConfigError("the database holds no installation; run `helixflow up` first")
        return await _add_key(unit, known, ring, clock.now(), name)

    return await store.write(work)


async def _installation(unit: Unit) -> Installation | None:
    return await unit.installation()


async def _install(unit: Unit, ring: KeyRing, clock: Clock) -> Secret:
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
    return await _add_key(unit, begun, ring, now, KEY_NAME)


async def _add_key(unit: Unit, known: Installation, ring: KeyRing, now: float, name: str) -> Secret:
    made = mint(KeyKind.PROJECT)
    pepper = ring.derive(PEPPER_PURPOSE)
    key = to_store(made, pepper, known.organization, known.project, name, now)
    await unit.keys.add(key)
    unit.record(Event(EventName.KEY_CREATE, known.organization, known.project, SYSTEM, key.id, now))
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
