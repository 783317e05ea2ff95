"""How many limits there may be, and how far an organization may loosen its own.

What an organization may use as a whole is the platform's to give: organizations other than the
first one can tighten what their tier says of the whole organization, and cannot loosen it.
"""

from __future__ import annotations

from collections.abc import Collection

from helixflow.errors import Conflict, Forbidden, Refusal
from helixflow.identity.ports import Unit
from helixflow.identity.quotas import WHOLE, Tier, ceiling_of
from helixflow.identity.records import StoredQuota
from helixflow.ids import OrganizationId
from helixflow.inference.quota import Quota
from helixflow.tiers import LIMITS_MAX

ROWS_MAX = 10_000
SHAPES_MAX = 200


async def require_room(unit: Unit, tier: Tier, row: StoredQuota) -> None:
    """Refuse a limit that would be one too many. Raises `Conflict`."""
    held = await unit.quota_shapes(row.organization)
    if held.rows >= ROWS_MAX:
        raise Conflict(Refusal.CONFLICT, f"An organization has {ROWS_MAX} limits at most.")
    require_shapes(tier, held.shapes | {(row.name.value, row.scopes, row.model)})


def require_shapes(tier: Tier, shapes: Collection[tuple[str, str, str]]) -> None:
    """Refuse a tier and overrides that put a request under too many limits together.

    Args:
        shapes: `(name, scopes, model)` of the overrides, as they are stored.
    """
    places = {(name, scopes) for name, scopes, _ in shapes}
    places |= {(quota.name.value, ",".join(quota.scopes)) for quota in tier.quotas}
    if len(places) > LIMITS_MAX:
        raise Conflict(
            Refusal.CONFLICT,
            f"A request is under {LIMITS_MAX} limits at most, those of the tier included; "
            f"these would be {len(places)}.",
        )
    if len(shapes) > SHAPES_MAX:
        raise Conflict(
            Refusal.CONFLICT,
            f"An organization has {SHAPES_MAX} kinds of limits at most, "
            "each model that is named being one.",
        )


async def require_no_gift(unit: Unit, tier: Tier, row: StoredQuota) -> None:
    """Refuse that an organization gives itself more than its tier does. Raises `Forbidden`."""
    quota = row.quota
    given = ceiling_of(tier, quota) if quota.scopes in WHOLE else None
    if given is None or _is_within(quota, given):
        return
    if not await is_first(unit, row.organization):
        raise Forbidden(
            Refusal.PERMISSION_DENIED,
            "Only the platform's first organization can have more than its tier gives.",
            param="amount",
        )


async def is_first(unit: Unit, organization: OrganizationId) -> bool:
    """Whether this is the organization that the platform belongs to."""
    begun = await unit.installation()
    return begun is not None and begun.organization == organization


def _is_within(quota: Quota, given: Quota) -> bool:
    return quota.amount <= given.amount and (quota.hard or not given.hard)
