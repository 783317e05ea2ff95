"""Which limits hold for a caller: its tier's, and what stands in their place. Pure.

An override has the place of the limit that counts the same thing for the same use: of the same
name, scopes and model. Of several overrides in one place the most specific wins: a key's before a
user's, a user's before a project's, a project's before the organization's, all of them before the
tier's. An override may be looser than what it replaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from helixflow.identity.records import Organization, StoredQuota
from helixflow.inference.quota import LimitName, Quota, Scope, ServiceClass, Share
from helixflow.settings import LimitsSettings
from helixflow.tiers import TierSettings, scopes_of, units_of

Shape: TypeAlias = tuple[str, tuple[str, ...], str]
"""`(name, scopes, model)`: limits of one shape have one place."""

RANKS = {
    Scope.ORGANIZATION: 1,
    Scope.MODEL: 1,
    Scope.PROJECT: 2,
    Scope.USER: 3,
    Scope.KEY: 4,
}
"""How specific an entity is. What an organization says of one model is in no other one's place."""

_WITHIN = {
    Scope.ORGANIZATION: frozenset(Scope),
    Scope.MODEL: frozenset({Scope.MODEL}),
    Scope.PROJECT: frozenset({Scope.PROJECT, Scope.KEY}),
    Scope.USER: frozenset({Scope.USER, Scope.KEY}),
    Scope.KEY: frozenset({Scope.KEY}),
}
WHOLE = frozenset({(Scope.ORGANIZATION,), (Scope.MODEL,)})
"""Scopes that count all of an organization together."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What an organization has before any override."""

    name: str = ""
    quotas: tuple[Quota, ...] = ()
    share: Share = field(default_factory=Share)


class Tiers:
    """The tiers of the configuration."""

    def __init__(self, settings: LimitsSettings) -> None:
        self._tiers = {name: _tier(name, told) for name, told in settings.tiers.items()}
        self._default = self._tiers.get(settings.default_tier, Tier())

    @property
    def names(self) -> list[str]:
        """In alphabetical order."""
        return sorted(self._tiers)

    def of(self, name: str | None) -> Tier:
        """The tier of this name; the default one for None and for what is no tier any more."""
        return self._default if name is None else self._tiers.get(name, self._default)


def shape_of(quota: Quota) -> Shape:
    """The place that a limit has."""
    return (quota.name, quota.scopes, quota.model)


def resolve(tier: Tier, overrides: Iterable[StoredQuota]) -> tuple[Quota, ...]:
    """The limits that hold for a caller, in a fixed order.

    Args:
        overrides: those that apply to it, in any order.
    """
    held = {shape_of(quota): (0, quota) for quota in tier.quotas}
    for row in overrides:
        quota, rank = row.quota, RANKS[row.entity]
        if held.get(shape_of(quota), (0, quota))[0] <= rank:
            held[shape_of(quota)] = (rank, quota)
    return tuple(held[shape][1] for shape in sorted(held))


def share_of(tier: Tier, organization: Organization) -> Share:
    """An organization's share: what it was given itself, else its tier's."""
    own = organization.service_class
    return Share(
        tier.share.weight if organization.weight is None else organization.weight,
        tier.share.service_class if own is None else own,
    )


def counts_within(entity: Scope, scopes: Iterable[Scope]) -> bool:
    """Whether what these scopes count together lies within one entity of this kind.

    Otherwise the same use would be counted under one limit by one caller and another by the next.
    """
    return bool(_WITHIN[entity] & set(scopes))


def ceiling_of(tier: Tier, quota: Quota) -> Quota | None:
    """What the tier says in the place of a limit, or about each model where it names one."""
    for model in (quota.model, ""):
        for given in tier.quotas:
            if shape_of(given) == (quota.name, quota.scopes, model):
                return given
    return None


def _tier(name: str, told: TierSettings) -> Tier:
    quotas = tuple(
        Quota(
            LimitName(limit.name),
            tuple(Scope(scope) for scope in scopes_of(limit.per, limit.model)),
            units_of(limit.name, Decimal(limit.amount)),
            limit.hard,
            limit.model,
        )
        for limit in told.limits
    )
    return Tier(name, quotas, Share(told.weight, ServiceClass(told.service_class)))
