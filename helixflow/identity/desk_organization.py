"""The desk's operations on the organization itself."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from helixflow.identity.desk_limits import quota_json
from helixflow.identity.desk_operation import (
    Arguments,
    Json,
    Operation,
    Shown,
    Visit,
    seconds,
    shown,
)
from helixflow.identity.organizations import OrganizationWish
from helixflow.identity.permissions import Permission
from helixflow.identity.quotas import Tier, share_of
from helixflow.identity.records import Organization
from helixflow.inference.quota import ServiceClass


class OrganizationUpdate(Arguments, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    tier: str | UnsetType | None = UNSET
    weight: float | UnsetType | None = UNSET
    service_class: ServiceClass | UnsetType | None = UNSET


def _organization_json(organization: Organization, tier: Tier) -> Json:
    """What is in force for an organization, whoever said it."""
    share = share_of(tier, organization)
    return {
        "object": "organization",
        "id": organization.id,
        "name": organization.name,
        "created_at": seconds(organization.created_at),
        "tier": tier.name or None,
        "weight": share.weight,
        "service_class": share.service_class,
        "tier_limits": [quota_json(quota) for quota in tier.quotas],
    }


def _shown(visit: Visit, organization: Organization) -> Shown:
    tier = visit.services.organizations.tier(organization)
    return shown(_organization_json(organization, tier), organization)


async def _read(visit: Visit, _: Arguments) -> Shown:
    return _shown(visit, await visit.services.organizations.get(visit.actor))


async def _update(visit: Visit, asked: OrganizationUpdate) -> Shown:
    """What is not given stays as it is."""
    held = await visit.services.organizations.get(visit.actor)
    wish = OrganizationWish(
        _or(asked.name, held.name),
        _or(asked.tier, held.tier),
        _or(asked.weight, held.weight),
        _or(asked.service_class, held.service_class),
    )
    return _shown(
        visit, await visit.services.organizations.update(visit.actor, wish, visit.if_match)
    )


def _or(given: Any, held: Any) -> Any:
    return held if given is UNSET else given


OPERATIONS = (
    Operation("organization.read", Permission.ORGANIZATION_READ, Arguments, _read),
    Operation(
        "organization.update",
        Permission.ORGANIZATION_UPDATE,
        OrganizationUpdate,
        _update,
        changes=True,
    ),
)
