"""The caller's own organization: its name, its tier and its share of contended models.

What an organization gets of the platform is the platform's to give: tier, weight and service class
are changed by the platform's first organization alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from helixflow.clock import Clock
from helixflow.errors import Forbidden, Refusal
from helixflow.identity import inputs
from helixflow.identity.events import Actor, Event, EventName, changes
from helixflow.identity.limit_room import is_first, require_shapes
from helixflow.identity.limit_wish import wrong
from helixflow.identity.ports import Store, Unit
from helixflow.identity.projects import organization_of, require_match
from helixflow.identity.quotas import Tier, Tiers
from helixflow.identity.records import Organization
from helixflow.inference.quota import ServiceClass
from helixflow.tiers import WEIGHT_MAX


@dataclass(frozen=True, slots=True)
class OrganizationWish:
    """What an organization is to be.

    Attributes:
        tier: a tier's name; None for the default one.
        weight, service_class: its share; None for what its tier says.
    """

    name: str
    tier: str | None = None
    weight: float | None = None
    service_class: ServiceClass | None = None


class Organizations:
    """The caller's own organization; no other exists for it."""

    def __init__(self, store: Store, tiers: Tiers, clock: Clock) -> None:
        self._store = store
        self._tiers = tiers
        self._clock = clock

    async def get(self, actor: Actor) -> Organization:
        """The organization of the caller."""
        return await self._store.read(lambda unit: organization_of(unit, actor.organization))

    def tier(self, organization: Organization) -> Tier:
        """The tier that is in force for it."""
        return self._tiers.of(organization.tier)

    async def update(
        self, actor: Actor, wish: OrganizationWish, if_match: str | None = None
    ) -> Organization:
        """Give it another name or another share. It is all of `wish`."""
        self._check(wish)

        async def work(unit: Unit) -> Organization:
            held = await organization_of(unit, actor.organization)
            require_match(held, if_match)
            changed = replace(
                held,
                name=inputs.name(wish.name),
                tier=wish.tier,
                weight=wish.weight,
                service_class=wish.service_class,
            )
            if changed == held:
                return held
            await self._require_given(unit, held, changed)
            await unit.organizations.put(changed)
            told = changes(_facts(held), _facts(changed))
            now, place = self._clock.now(), actor.organization
            unit.record(
                Event(EventName.ORGANIZATION_UPDATE, place, None, actor.id, place, now, told)
            )
            return changed

        return await self._store.write(work)

    def _check(self, wish: OrganizationWish) -> None:
        inputs.name(wish.name)
        if wish.tier is not None and wish.tier not in self._tiers.names:
            known = ", ".join(self._tiers.names) or "there is none in the configuration"
            raise wrong("tier", f"There is no such tier; known: {known}.")
        weight = wish.weight
        if weight is not None and not (math.isfinite(weight) and 0 < weight <= WEIGHT_MAX):
            raise wrong("weight", f"It must be above 0 and at most {WEIGHT_MAX:g}.")

    async def _require_given(self, unit: Unit, held: Organization, changed: Organization) -> None:
        if replace(changed, name=held.name) == held:
            return
        if not await is_first(unit, held.id):
            raise Forbidden(
                Refusal.PERMISSION_DENIED,
                "Only the platform's first organization can change a tier or a share.",
            )
        if changed.tier != held.tier:
            shapes = (await unit.quota_shapes(held.id)).shapes
            require_shapes(self._tiers.of(changed.tier), shapes)


def _facts(organization: Organization) -> dict[str, object]:
    """What an event says of it."""
    return {
        "name": organization.name,
        "tier": organization.tier,
        "weight": organization.weight,
        "service_class": organization.service_class,
    }
