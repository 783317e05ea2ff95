"""How a key is looked up: with the revision, and with all that can switch it off."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, exists, or_, select

from helixflow.identity.ports import Found, StoredKey
from helixflow.inference.principal import Keeping
from helixflow.storage.records import Mapping
from helixflow.storage.revision import revision_of
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


def _find(which: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """One row in any case, since an unknown key has a revision too. One statement is one state."""
    return select(
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
            exists(
                select(quotas.c.id).where(quotas.c.organization_id == api_keys.c.organization_id)
            ),
        ).label("has_limits"),
        projects.c.content_days,
        projects.c.content_period,
    ).select_from(
        identity_revision.outerjoin(api_keys, which)
        .outerjoin(organizations, organizations.c.id == api_keys.c.organization_id)
        .outerjoin(projects, projects.c.id == api_keys.c.project_id)
        .outerjoin(service_accounts, service_accounts.c.id == api_keys.c.service_account_id)
    )


BY_MAC = _find(api_keys.c.mac == bindparam("wanted"))
BY_ID = _find(
    (api_keys.c.organization_id == bindparam("organization")) & (api_keys.c.id == bindparam("key"))
)


def found(row: Row[*tuple[Any, ...]] | None) -> Found:
    """The row of one of them."""
    revision = revision_of(row)
    if row is None or row.id is None:
        return Found(None, revision)
    return Found(
        KEYS.value(row),
        revision,
        bool(row.disabled),
        bool(row.has_policies),
        bool(row.has_limits),
        None if row.content_days is None else Keeping(row.content_days, row.content_period),
    )
