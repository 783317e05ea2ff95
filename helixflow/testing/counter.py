"""A desk over real services on a store, and somebody who asks it things."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from argon2 import PasswordHasher

from helixflow.crypto.master_key import MasterKey
from helixflow.crypto.passwords import Passwords
from helixflow.identity.bootstrap import ensure_bootstrap
from helixflow.identity.desk import Desk
from helixflow.identity.events import Actor
from helixflow.identity.permissions import ADMINISTRATION, Role, permissions_of
from helixflow.identity.ports import Installation, Unit
from helixflow.identity.quotas import Tiers
from helixflow.identity.signing_keys import SigningKeys
from helixflow.ids import KeyId, ProjectId
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.inference.principal import Principal
from helixflow.settings import LimitsSettings, TokenSettings
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import some_principal

SOURCE = "203.0.113.7"
RING = MasterKey(b"m" * 32)


@dataclass
class Counter:
    """A desk, its installation, and an admin key's principal before it."""

    desk: Desk
    stores: Stores
    clock: ManualClock
    begun: Installation
    admin: Principal

    async def ask(
        self,
        operation: str,
        principal: Principal | None = None,
        *,
        key: str | None = None,
        match: str | None = None,
        **arguments: Any,
    ) -> Any:
        answer = await self.answer(operation, principal, key=key, match=match, **arguments)
        return json.loads(answer.body)

    async def answer(
        self,
        operation: str,
        principal: Principal | None = None,
        *,
        key: str | None = None,
        match: str | None = None,
        **arguments: Any,
    ) -> DeskAnswer:
        data = json.dumps(arguments).encode()
        call = DeskCall(operation, principal or self.admin, data, key, match, "req_1", SOURCE)
        return DeskAnswer.from_wire(await self.desk.handle(call.to_wire()))

    async def user(self, role: Role, where: str | None = None, **more: Any) -> Principal:
        """A person with a role in the organization, or as a viewer's guest in a project only."""
        email = f"{role}-{where}@example.org"
        made = await self.ask("user.create", email=email, role=role, **more)
        return self.caller(made["id"], permissions_of([role]))

    def caller(self, user: str, permissions: frozenset[str], project: str = "") -> Principal:
        return Principal(
            self.begun.organization,
            ProjectId(project or self.begun.project),
            KeyId(user),
            "a person",
            permissions,
        )


async def open_counter(stores: Stores, limits: LimitsSettings | None = None) -> Counter:
    """A fresh installation in a migrated database, with a signing key."""
    clock = ManualClock()
    await ensure_bootstrap(stores.units, RING, clock)
    begun = await stores.units.read(_begun)
    if begun is None:
        raise AssertionError("nothing was installed")
    signing = SigningKeys(stores.units, RING, TokenSettings(), clock)
    await signing.ensure(Actor(begun.organization, "system"))
    desk = Desk(
        store=stores.units,
        keys=stores.keys,
        ring=RING,
        settings=TokenSettings(),
        clock=clock,
        tiers=Tiers(limits or LimitsSettings()),
        signing=signing,
        passwords=Passwords(hasher=PasswordHasher(1, 8, 1)),
    )
    clock.advance(1)
    admin = some_principal(begun.organization, ProjectId(""), ADMINISTRATION)
    return Counter(desk, stores, clock, begun, replace(admin, project=ProjectId("")))


async def _begun(unit: Unit) -> Installation | None:
    return await unit.installation()
