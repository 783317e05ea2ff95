"""The desk's operations on limits, and on what projects may use of each model."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from helixflow.identity import inputs
from helixflow.identity.desk_operation import (
    Arguments,
    InProject,
    Json,
    Operation,
    Paging,
    Shown,
    Visit,
    deleted,
    listed,
    seconds,
    shown,
)
from helixflow.identity.limit_wish import LimitWish
from helixflow.identity.members import place_after
from helixflow.identity.permissions import Permission
from helixflow.identity.ports import Page
from helixflow.identity.project_rates import Rates
from helixflow.identity.records import StoredQuota
from helixflow.ids import ProjectId
from helixflow.inference.quota import LimitName, Quota, Scope
from helixflow.tiers import amount_of

_LIMIT, _RATES = "organization.limit", "project.rate_limit"
_RATES_ID = "rl_"
_FIELDS = {
    "max_requests_per_1_day": LimitName.REQUESTS_PER_DAY,
    "max_requests_per_1_minute": LimitName.REQUESTS_PER_MINUTE,
    "max_tokens_per_1_minute": LimitName.TOKENS_PER_MINUTE,
}


class LimitPaging(Paging, frozen=True, kw_only=True):
    entity: Scope | None = None
    entity_id: str | None = None


class NewLimit(Arguments, frozen=True, kw_only=True):
    entity: Scope
    name: LimitName
    amount: float
    entity_id: str | None = None
    per: list[Scope] | None = None
    hard: bool = False
    model: str | None = None


class Limit(Arguments, frozen=True, kw_only=True):
    limit_id: str


class LimitUpdate(Limit, frozen=True, kw_only=True):
    amount: float | None = None
    hard: bool | None = None


class RatesPaging(InProject, frozen=True, kw_only=True):
    """`models` are those that exist, as the Ingress knows them."""

    models: list[str]
    after: str | None = None
    limit: int = 100


class RatesUpdate(Arguments, frozen=True, kw_only=True):
    """Asks for the permission in the organization: a project does not give itself more.

    The Ingress has seen that the model exists.
    """

    project_id: ProjectId
    model: str
    max_requests_per_1_day: int | UnsetType | None = UNSET
    max_requests_per_1_minute: int | UnsetType | None = UNSET
    max_tokens_per_1_minute: int | UnsetType | None = UNSET


def quota_json(quota: Quota) -> Json:
    """A limit by itself."""
    return {
        "name": quota.name,
        "per": list(quota.scopes),
        "amount": amount_of(quota.name, quota.amount),
        "hard": quota.hard,
        "model": quota.model or None,
    }


def _limit_json(row: StoredQuota) -> Json:
    return {
        "object": _LIMIT,
        "id": row.id,
        "entity": row.entity,
        "entity_id": row.entity_id,
        "project_id": row.project,
        **quota_json(row.quota),
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at),
    }


def _rates_json(rates: Rates) -> Json:
    amounts = {field: rates.amounts.get(name) for field, name in _FIELDS.items()}
    return {"object": _RATES, "id": _RATES_ID + rates.model, "model": rates.model, **amounts}


async def _list(visit: Visit, asked: LimitPaging) -> Shown:
    page = await visit.services.limits.page(
        visit.actor, asked.after, asked.limit, entity=asked.entity, entity_id=asked.entity_id
    )
    return listed(page, _limit_json)


async def _create(visit: Visit, asked: NewLimit) -> Shown:
    wish = LimitWish(
        asked.entity,
        asked.entity_id,
        asked.name,
        asked.amount,
        tuple(asked.per or ()),
        asked.hard,
        asked.model or "",
    )
    row = await visit.services.limits.create(visit.actor, wish)
    return shown(_limit_json(row), row)


async def _read(visit: Visit, asked: Limit) -> Shown:
    row = await visit.services.limits.get(visit.actor, asked.limit_id)
    return shown(_limit_json(row), row)


async def _update(visit: Visit, asked: LimitUpdate) -> Shown:
    """What is not given stays as it is."""
    row = await visit.services.limits.update(
        visit.actor, asked.limit_id, asked.amount, hard=asked.hard, if_match=visit.if_match
    )
    return shown(_limit_json(row), row)


async def _delete(visit: Visit, asked: Limit) -> Shown:
    await visit.services.limits.delete(visit.actor, asked.limit_id)
    return deleted(_LIMIT, asked.limit_id)


async def _list_rates(visit: Visit, asked: RatesPaging) -> Shown:
    models, size = sorted(asked.models), inputs.page_size(asked.limit)
    begin = place_after([_RATES_ID + model for model in models], asked.after)
    chosen = models[begin : begin + size]
    rates = await visit.services.rates.of(visit.actor, asked.project_id, chosen)
    return listed(Page(tuple(rates), len(models) > begin + size), _rates_json)


async def _update_rates(visit: Visit, asked: RatesUpdate) -> Shown:
    """What is not given stays as it is; null takes away what was set here."""
    given = {name: getattr(asked, field) for field, name in _FIELDS.items()}
    amounts = {name: amount for name, amount in given.items() if amount is not UNSET}
    rates = await visit.services.rates.update(visit.actor, asked.project_id, asked.model, amounts)
    return shown(_rates_json(rates))


def _operation(name: str, permission: Permission, arguments: Any, run: Any) -> Operation:
    changes = not name.endswith((".list", ".read"))
    fields = arguments.__struct_fields__
    target = next((one for one in ("limit_id", "project_id", "entity_id") if one in fields), "")
    return Operation(name, permission, arguments, run, changes, target)


OPERATIONS = (
    _operation("limit.list", Permission.LIMIT_READ, LimitPaging, _list),
    _operation("limit.create", Permission.LIMIT_UPDATE, NewLimit, _create),
    _operation("limit.read", Permission.LIMIT_READ, Limit, _read),
    _operation("limit.update", Permission.LIMIT_UPDATE, LimitUpdate, _update),
    _operation("limit.delete", Permission.LIMIT_UPDATE, Limit, _delete),
    _operation("project_rate_limit.list", Permission.LIMIT_READ, RatesPaging, _list_rates),
    _operation("project_rate_limit.update", Permission.LIMIT_UPDATE, RatesUpdate, _update_rates),
)
