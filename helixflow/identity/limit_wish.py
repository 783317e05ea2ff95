"""A limit as people write it, brought into one form. Pure; the rules are those of `tiers.py`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ParamSpec, TypeVar

from helixflow.errors import InvalidRequest, Refusal
from helixflow.identity import inputs
from helixflow.identity.events import changes
from helixflow.identity.quotas import counts_within
from helixflow.identity.records import StoredQuota
from helixflow.ids import OrganizationId
from helixflow.inference.quota import LimitName, Scope
from helixflow.tiers import (
    MODEL_PATTERN,
    LimitFault,
    amount_of,
    is_spend,
    require_debt,
    scopes_of,
    units_of,
)

P = ParamSpec("P")
T = TypeVar("T")

_ROUNDED_BELOW = 10**12
_TOO_WIDE = {
    Scope.KEY: "A limit of a key counts per key.",
    Scope.MODEL: "A limit of a model counts per model.",
    Scope.PROJECT: "A limit of a project counts per project or per key.",
    Scope.USER: "A limit of a user counts per user or per key.",
}


@dataclass(frozen=True, slots=True)
class LimitWish:
    """What a limit is to be.

    Attributes:
        entity, entity_id: whose requests it is about; an organization needs no id.
        name: what is limited.
        amount: requests, tokens, requests at a time, or US dollars.
        per: whose use is counted together; empty counts that of the entity, and per model where
            it names one.
        hard: whether no debt is allowed.
        model: the model that it is about; empty for each one.
    """

    entity: Scope
    entity_id: str | None
    name: LimitName
    amount: float
    per: tuple[str, ...] = ()
    hard: bool = False
    model: str = ""


def canonical(wish: LimitWish, organization: OrganizationId) -> LimitWish:
    """The wish with everything said, and each thing said in one way alone.

    Raises `InvalidRequest` for what cannot be, `NotFound` for another organization.
    """
    placed = _placed(wish, organization)
    if placed.model and re.fullmatch(MODEL_PATTERN, placed.model) is None:
        raise wrong("model", "It must be the name of a model.")
    per = placed.per or tuple({placed.entity.value, *(["model"] if placed.model else [])})
    if placed.entity is Scope.MODEL and not wish.per:
        per = ("model",)
    scopes = _checked(scopes_of, per, placed.model)
    if not counts_within(placed.entity, [Scope(scope) for scope in scopes]):
        raise wrong("per", _TOO_WIDE[placed.entity])
    require_sensible(placed.name, hard=placed.hard)
    return replace(placed, per=scopes)


def _placed(wish: LimitWish, organization: OrganizationId) -> LimitWish:
    """What the organization says of one model is about that model."""
    if wish.entity is Scope.ORGANIZATION:
        inputs.found(
            organization if wish.entity_id in (None, organization) else None, "organization"
        )
        if not wish.model:
            return replace(wish, entity_id=organization)
        return replace(wish, entity=Scope.MODEL, entity_id=wish.model)
    if not wish.entity_id:
        raise wrong("entity_id", f"It must say which {wish.entity.value}.")
    if wish.entity is Scope.MODEL:
        if wish.model not in ("", wish.entity_id):
            raise wrong("model", "A limit of a model is about that model.")
        return replace(wish, model=wish.entity_id)
    return wish


def whole_units(name: LimitName, amount: float) -> int:
    """An amount in whole units. Raises `InvalidRequest`."""
    exact = Decimal(repr(amount))
    if is_spend(name) and abs(exact) < _ROUNDED_BELOW:
        exact = round(exact, 9)  # 0.1 + 0.2 has more digits than anybody meant
    return _checked(units_of, name, exact)


def require_sensible(name: LimitName, *, hard: bool) -> None:
    """Refuse `hard` where it means nothing. Raises `InvalidRequest`."""
    _checked(require_debt, name, hard=hard)


def detail(before: StoredQuota | None, after: StoredQuota | None) -> dict[str, str]:
    """What an event says of a limit that was made (no `before`), changed or removed."""
    row = after or before
    if row is None:
        return {}
    about = {
        "entity": f"{row.entity.value} {row.entity_id}",
        "name": row.name.value,
        "per": row.scopes,
        "model": row.model or "each",
    }
    return about | changes(_terms(before), _terms(after))


def _terms(row: StoredQuota | None) -> dict[str, str]:
    if row is None:
        return {}
    return {"amount": str(amount_of(row.name, row.amount)), "hard": str(row.hard).lower()}


def wrong(field: str, message: str) -> InvalidRequest:
    """The refusal that names a field."""
    return InvalidRequest(Refusal.INVALID_VALUE, message, param=field)


def _checked(rule: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    try:
        return rule(*given, **named)
    except LimitFault as fault:
        raise wrong(fault.field, fault.message) from None
