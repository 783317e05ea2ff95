"""How much somebody may use: the rows that limits are made of, and a tenant's share of a queue.

Identity says which rows hold for a caller, limits enforce them, the fair queue weighs them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

NANO_USD = 1_000_000_000
"""Spend is counted in billionths of a US dollar, in whole numbers."""


class LimitName(StrEnum):
    """What is limited, and over which time."""

    CONCURRENT_REQUESTS = "concurrent_requests"
    REQUESTS_PER_DAY = "requests_per_day"
    REQUESTS_PER_HOUR = "requests_per_hour"
    REQUESTS_PER_MINUTE = "requests_per_minute"
    SPEND_PER_DAY = "spend_per_day"
    SPEND_PER_MONTH = "spend_per_month"
    TOKENS_PER_DAY = "tokens_per_day"
    TOKENS_PER_HOUR = "tokens_per_hour"
    TOKENS_PER_MINUTE = "tokens_per_minute"


class Scope(StrEnum):
    """Whose use is counted together. A quota names one scope, or two (a pair)."""

    KEY = "key"
    MODEL = "model"
    ORGANIZATION = "organization"
    PROJECT = "project"
    USER = "user"


QuotaWire: TypeAlias = tuple[str, tuple[str, ...], int, bool, str]


@dataclass(frozen=True, slots=True)
class Quota:
    """One limit that holds for a caller.

    Attributes:
        name: what is limited.
        scopes: whose use is counted together, in alphabetical order: `(KEY,)` counts each key for
            itself, `(MODEL, PROJECT)` each model within each project. `(MODEL,)` counts a model
            within the organization. A scope that the caller does not have (a key without a user)
            makes the quota not hold for it.
        amount: the limit: requests, tokens, requests at a time, or billionths of a US dollar.
        hard: whether the whole `max_tokens` is reserved, so that no debt can arise.
        model: the model that it is about, by registry name; empty means each one.
    """

    name: LimitName
    scopes: tuple[Scope, ...]
    amount: int
    hard: bool = False
    model: str = ""

    def to_wire(self) -> QuotaWire:
        scopes = tuple(scope.value for scope in self.scopes)
        return (self.name.value, scopes, self.amount, self.hard, self.model)

    @staticmethod
    def from_wire(wire: QuotaWire) -> Quota:
        name, scopes, amount, hard, model = wire
        return Quota(LimitName(name), tuple(Scope(each) for each in scopes), amount, hard, model)


def holding(quotas: Iterable[Quota], model: str) -> list[Quota]:
    """The quotas that hold for a request to a model.

    One that names the model stands in the place of one that is about each model, where both count
    the same use under the same name.
    """
    held: dict[tuple[LimitName, tuple[Scope, ...]], Quota] = {}
    for quota in quotas:
        place = (quota.name, quota.scopes)
        if quota.model == model or (not quota.model and place not in held):
            held[place] = quota
    return list(held.values())


class ServiceClass(StrEnum):
    """How urgent a request is; the fair queue orders classes before tenants."""

    BATCH = "batch"
    CRITICAL = "critical"
    INTERACTIVE = "interactive"
    STANDARD = "standard"


BY_URGENCY = (
    ServiceClass.CRITICAL,
    ServiceClass.INTERACTIVE,
    ServiceClass.STANDARD,
    ServiceClass.BATCH,
)
"""Every class, the most urgent one first."""

_TIERS = {"flex": ServiceClass.BATCH, "priority": ServiceClass.INTERACTIVE}


ShareWire: TypeAlias = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Share:
    """A tenant's part of a contended model.

    Attributes:
        weight: its share beside the others' weights, above 0.
        service_class: the most urgent class that its requests may have.
    """

    weight: float = 1.0
    service_class: ServiceClass = ServiceClass.STANDARD

    def class_for(self, service_tier: str) -> ServiceClass:
        """The class of a request that names a tier (OpenAI's `service_tier`), or names none.

        `flex` stands for batch and `priority` for interactive; what is more urgent than the share
        allows becomes the share's own class, as every other word does: a client can only lower
        itself.
        """
        asked = _TIERS.get(service_tier, self.service_class)
        return max(asked, self.service_class, key=BY_URGENCY.index)

    def to_wire(self) -> ShareWire:
        return (self.weight, self.service_class.value)

    @staticmethod
    def from_wire(wire: ShareWire) -> Share:
        weight, service_class = wire
        return Share(weight, ServiceClass(service_class))
