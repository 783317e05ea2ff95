"""How a key is looked up: with the revision, and with all that can switch it off."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, exists, or_, select, true

from helixflow.identity.ports import Found, StoredKey
from helixflow.storage.records import Mapping
from helixflow.storage.tables import (
    api_keys,
    identity_revision,
    organizations,
    policies,
    projects,
    quotas,
    service_accounts,
)

KEYS = Mapping(StoredKey, api_keys)

FIND = select(
    *api_keys.c,
    identity_revision.c.revision,
    or_(
        organizations.c.disabled_at.is_not(None),
        projects.c.archived_at.is_not(None),
        service_accounts.c.disabled_at.is_not(None),
    ).label("disabled"),
    exists(
        select(policies.c.id).where(
            policies.c.organization_id == api_keys.c.organization_id, policies.c.enabled
        )
    ).label("has_policies"),
    or_(
        organizations.c.tier.is_not(None),
        organizations.c.weight.is_not(None),
        organizations.c.service_class.is_not(None),
        exists(select(quotas.c.id).where(quotas.c.organization_id == api_keys.c.organization_id)),
    ).label("has_limits"),
).select_from(
    api_keys.join(identity_revision, true())
    .join(organizations, organizations.c.id == api_keys.c.organization_id)
    .outerjoin(projects, projects.c.id == api_keys.c.project_id)
    .outerjoin(service_accounts, service_accounts.c.id == api_keys.c.service_account_id)
)
"""To be narrowed by a condition on the key. One statement is one state."""


def found(row: Row[*tuple[Any, ...]]) -> Found:
    """A row of `FIND`."""
    return Found(
        KEYS.value(row),
        row.revision,
        bool(row.disabled),
        bool(row.has_policies),
        bool(row.has_limits),
    )
