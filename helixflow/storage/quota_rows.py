"""How limits are looked up: those about a caller at once, and what kinds of them there are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import CompoundSelect, exists, false, func, or_, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.identity.ports import QuotaShapes
from helixflow.identity.records import StoredQuota
from helixflow.ids import OrganizationId
from helixflow.storage.records import Mapping
from helixflow.storage.tables import quotas

QUOTAS = Mapping(StoredQuota, quotas)


def about(
    organization: OrganizationId, entities: Collection[tuple[str, str | None]]
) -> CompoundSelect[*tuple[Any, ...]]:
    """The limits about any of these: one index search each, which no database makes of an OR."""
    return union_all(
        *(
            select(quotas).where(
                quotas.c.organization_id == organization,
                quotas.c.entity == kind,
                true() if entity_id is None else quotas.c.entity_id == entity_id,
            )
            for kind, entity_id in entities
        )
    )


async def quotas_about(
    connection: AsyncConnection,
    organization: OrganizationId,
    entities: Collection[tuple[str, str | None]],
) -> list[StoredQuota]:
    """See `Unit.quotas_about`."""
    if not entities:
        return []
    rows = await connection.execute(about(organization, entities))
    return [QUOTAS.value(row) for row in rows]


async def has_quotas_about(
    connection: AsyncConnection, organization: OrganizationId, entities: Collection[str]
) -> bool:
    """See `Unit.has_quotas_about`."""
    mine = quotas.c.organization_id == organization
    asked = or_(false(), *(exists().where(mine, quotas.c.entity == kind) for kind in entities))
    return bool((await connection.execute(select(asked))).scalar_one())


async def quota_shapes(connection: AsyncConnection, organization: OrganizationId) -> QuotaShapes:
    """See `Unit.quota_shapes`."""
    kinds = (quotas.c.name, quotas.c.scopes, quotas.c.model)
    chosen = select(*kinds, func.count()).where(quotas.c.organization_id == organization)
    rows = (await connection.execute(chosen.group_by(*kinds))).all()
    shapes = frozenset((name, scopes, model) for name, scopes, model, _ in rows)
    return QuotaShapes(sum(count for *_, count in rows), shapes)
