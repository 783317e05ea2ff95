"""Tiers of limits as the configuration writes them, and the rules of any limit that people write.

The administration's routes follow the same rules (`identity/limits.py`). The words are those of
`inference/quota.py`, which lies above the configuration; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

LimitWord: TypeAlias = Literal[
    "concurrent_requests",
    "requests_per_day",
    "requests_per_hour",
    "requests_per_minute",
    "spend_per_day",
    "spend_per_month",
    "tokens_per_day",
    "tokens_per_hour",
    "tokens_per_minute",
]
ScopeWord: TypeAlias = Literal["key", "model", "organization", "project", "user"]
ClassWord: TypeAlias = Literal["batch", "critical", "interactive", "standard"]

LIMITS_MAX = 20
"""A request is under so many limits at most."""

AMOUNT_MAX = 4_000_000_000_000_000
"""Whole numbers up to twice this are exact in a double, in which some stores count."""

WEIGHT_MAX = 1000.0
MODEL_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$"

_SCOPES_MAX = 2
_NANO = 1_000_000_000
_SPEND = "spend_"
_WITH_DEBT = (_SPEND, "tokens_")


class LimitFault(ValueError):
    """A limit that cannot be.

    Attributes:
        field: what of it: `per`, `amount`, `hard`.
        message: what to write instead, as a sentence.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def is_spend(name: str) -> bool:
    """Whether an amount of this limit is in US dollars."""
    return name.startswith(_SPEND)


def scopes_of(per: Collection[str], model: str = "") -> tuple[str, ...]:
    """Whose use is counted together, in alphabetical order. Raises `LimitFault`.

    Args:
        per: one scope or two.
        model: the model that the limit is about; empty for each one.
    """
    scopes = tuple(sorted(set(per)))
    if len(scopes) != len(per) or not 1 <= len(scopes) <= _SCOPES_MAX:
        raise LimitFault("per", "It names one scope, or two different ones.")
    if "organization" in scopes and len(scopes) > 1:
        raise LimitFault(
            "per", "Everything is counted within the organization: leave `organization` out."
        )
    if model and "model" not in scopes:
        raise LimitFault("per", "A limit that names a model counts per model: add `model`.")
    return scopes


def units_of(name: str, amount: Decimal) -> int:
    """An amount in whole units: requests, tokens, billionths of a US dollar. Raises `LimitFault`."""
    units = amount * _NANO if is_spend(name) else amount
    if not units.is_finite() or not 0 < units <= AMOUNT_MAX:
        most = f"{AMOUNT_MAX // _NANO} US dollars" if is_spend(name) else str(AMOUNT_MAX)
        raise LimitFault("amount", f"It must be above 0 and at most {most}.")
    if units != units.to_integral_value():
        digits = "at most nine digits after the point" if is_spend(name) else "a whole number"
        raise LimitFault("amount", f"It must be {digits}.")
    return int(units)


def amount_of(name: str, units: int) -> float:
    """An amount as people write it: whole numbers, and US dollars of spend."""
    return units / _NANO if is_spend(name) else units


def require_debt(name: str, *, hard: bool) -> None:
    """Refuse `hard` where no debt can arise anyway. Raises `LimitFault`."""
    if hard and not name.startswith(_WITH_DEBT):
        raise LimitFault("hard", "Requests are always exact; `hard` is for tokens and spend.")


class TierLimit(BaseModel):
    """A limit that holds for everybody of a tier, unless an override says otherwise.

    `per` says whose use is counted together. The amount of spend is in US dollars.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: LimitWord
    per: tuple[ScopeWord, ...] = ("organization",)
    amount: Decimal
    hard: bool = False
    model: str = Field(default="", pattern=rf"^$|{MODEL_PATTERN}")

    @model_validator(mode="after")
    def _can_be(self) -> TierLimit:
        scopes_of(self.per, self.model)
        units_of(self.name, self.amount)
        require_debt(self.name, hard=self.hard)
        return self


class TierSettings(BaseModel):
    """What an organization of this tier may use, and its share of a contended model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: tuple[TierLimit, ...] = Field(default=(), max_length=LIMITS_MAX)
    weight: float = Field(default=1.0, gt=0, le=WEIGHT_MAX)
    service_class: ClassWord = "standard"

    @model_validator(mode="after")
    def _limits_differ(self) -> TierSettings:
        seen = set()
        for limit in self.limits:
            shape = (limit.name, scopes_of(limit.per, limit.model), limit.model)
            if shape in seen:
                raise ValueError(f"{limit.name} per {', '.join(shape[1])} is limited twice")
            seen.add(shape)
        return self
