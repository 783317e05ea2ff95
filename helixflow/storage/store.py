"""Units of work: all records in one transaction, with the events of their changes.

Failure behavior: see database.py. A unit that raises leaves nothing: no record, no event, no
revision. Writing units run one after the other on both databases: each begins by taking the lock of
the identity revision's row, so the revisions and the outbox's numbers commit in their order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import cached_property
from typing import TypeVar

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.identity.events import Event
from helixflow.identity.ports import Found, Installation, QuotaShapes, StoredKey
from helixflow.identity.records import (
    Answered,
    Membership,
    Organization,
    Project,
    RefreshToken,
    RevokedToken,
    ServiceAccount,
    SigningKey,
    StoredModel,
    StoredPolicy,
    StoredQuota,
    User,
)
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.storage import tables
from helixflow.storage.database import Database
from helixflow.storage.key_rows import BY_ID, KEYS, found
from helixflow.storage.quota_rows import QUOTAS, has_quotas_about, quota_shapes, quotas_about
from helixflow.storage.records import Mapping, SqlRecords, add_row, may_be_id
from helixflow.storage.revision import lock_revision, raise_revision, read_revision

T = TypeVar("T")

_ANSWERED = Mapping(Answered, tables.answered)
_INSTALLATIONS = Mapping(Installation, tables.installations)
_MEMBERSHIPS = Mapping(Membership, tables.memberships)
_MODELS = Mapping(StoredModel, tables.models)
_ORGANIZATIONS = Mapping(Organization, tables.organizations)
_OUTBOX = Mapping(Event, tables.outbox)
_POLICIES = Mapping(StoredPolicy, tables.policies)
_PROJECTS = Mapping(Project, tables.projects)
_REFRESH_TOKENS = Mapping(RefreshToken, tables.refresh_tokens)
_REVOKED_TOKENS = Mapping(RevokedToken, tables.revoked_tokens)
_SERVICE_ACCOUNTS = Mapping(ServiceAccount, tables.service_accounts)
_SIGNING_KEYS = Mapping(SigningKey, tables.signing_keys)
_USERS = Mapping(User, tables.users)


class SqlUnit:
    """`identity.ports.Unit` on a connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.events: list[Event] = []

    @cached_property
    def organizations(self) -> SqlRecords[Organization, OrganizationId]:
        return SqlRecords(self._connection, _ORGANIZATIONS, tables.organizations.c.id)

    @cached_property
    def projects(self) -> SqlRecords[Project, OrganizationId]:
        return SqlRecords(self._connection, _PROJECTS, tables.projects.c.organization_id)

    @cached_property
    def users(self) -> SqlRecords[User, OrganizationId]:
        return SqlRecords(self._connection, _USERS, tables.users.c.organization_id)

    @cached_property
    def memberships(self) -> SqlRecords[Membership, OrganizationId]:
        return SqlRecords(self._connection, _MEMBERSHIPS, tables.memberships.c.organization_id)

    @cached_property
    def service_accounts(self) -> SqlRecords[ServiceAccount, ProjectId]:
        scope = tables.service_accounts.c.project_id
        return SqlRecords(self._connection, _SERVICE_ACCOUNTS, scope)

    @cached_property
    def keys(self) -> SqlRecords[StoredKey, ProjectId]:
        return SqlRecords(self._connection, KEYS, tables.api_keys.c.project_id)

    @cached_property
    def admin_keys(self) -> SqlRecords[StoredKey, OrganizationId]:
        scope, only = tables.api_keys.c.organization_id, tables.api_keys.c.kind == "adm"
        return SqlRecords(self._connection, KEYS, scope, only)

    @cached_property
    def refresh_tokens(self) -> SqlRecords[RefreshToken, OrganizationId]:
        scope = tables.refresh_tokens.c.organization_id
        return SqlRecords(self._connection, _REFRESH_TOKENS, scope)

    @cached_property
    def revoked_tokens(self) -> SqlRecords[RevokedToken, OrganizationId]:
        scope = tables.revoked_tokens.c.organization_id
        return SqlRecords(self._connection, _REVOKED_TOKENS, scope)

    @cached_property
    def signing_keys(self) -> SqlRecords[SigningKey, None]:
        return SqlRecords(self._connection, _SIGNING_KEYS, None)

    @cached_property
    def policies(self) -> SqlRecords[StoredPolicy, OrganizationId]:
        return SqlRecords(self._connection, _POLICIES, tables.policies.c.organization_id)

    @cached_property
    def quotas(self) -> SqlRecords[StoredQuota, OrganizationId]:
        return SqlRecords(self._connection, QUOTAS, tables.quotas.c.organization_id)

    @cached_property
    def models(self) -> SqlRecords[StoredModel, OrganizationId]:
        return SqlRecords(self._connection, _MODELS, tables.models.c.organization_id)

    @cached_property
    def answered(self) -> SqlRecords[Answered, OrganizationId]:
        return SqlRecords(self._connection, _ANSWERED, tables.answered.c.organization_id)

    async def installation(self) -> Installation | None:
        """See `Unit.installation`."""
        row = (await self._connection.execute(select(tables.installations))).first()
        return None if row is None else _INSTALLATIONS.value(row)

    async def install(self, installation: Installation) -> None:
        """See `Unit.install`; the primary key of the only row decides who is first."""
        values = {"id": 1, **_INSTALLATIONS.values(installation)}
        await add_row(self._connection, tables.installations, values)

    async def refresh_token(self, mac: bytes) -> RefreshToken | None:
        """See `Unit.refresh_token`."""
        chosen = select(tables.refresh_tokens).where(tables.refresh_tokens.c.mac == mac)
        row = (await self._connection.execute(chosen)).first()
        return None if row is None else _REFRESH_TOKENS.value(row)

    async def key(self, organization: OrganizationId, key: KeyId) -> Found:
        """See `Unit.key`."""
        if not may_be_id(key):
            return Found(None, await self.revision())
        wanted = {"organization": organization, "key": key}
        return found((await self._connection.execute(BY_ID, wanted)).first())

    async def service_account(
        self, organization: OrganizationId, account: str
    ) -> ServiceAccount | None:
        """See `Unit.service_account`."""
        scope = tables.service_accounts.c.organization_id
        records: SqlRecords[ServiceAccount, OrganizationId]
        records = SqlRecords(self._connection, _SERVICE_ACCOUNTS, scope)
        return await records.get(organization, account)

    async def quotas_about(
        self, organization: OrganizationId, entities: Collection[tuple[str, str | None]]
    ) -> list[StoredQuota]:
        """See `Unit.quotas_about`."""
        return await quotas_about(self._connection, organization, entities)

    async def has_quotas_about(
        self, organization: OrganizationId, entities: Collection[str]
    ) -> bool:
        """See `Unit.has_quotas_about`."""
        return await has_quotas_about(self._connection, organization, entities)

    async def quota_shapes(self, organization: OrganizationId) -> QuotaShapes:
        """See `Unit.quota_shapes`."""
        return await quota_shapes(self._connection, organization)

    async def revision(self) -> int:
        """See `Unit.revision`."""
        return await read_revision(self._connection)

    def record(self, event: Event) -> None:
        """See `Unit.record`."""
        self.events.append(event)


class SqlStore:
    """`identity.ports.Store` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, work: Callable[[SqlUnit], Awaitable[T]]) -> T:
        """See `Store.read`."""

        async def run(connection: AsyncConnection) -> T:
            return await work(SqlUnit(connection))

        return await self._database.read(run)

    async def write(self, work: Callable[[SqlUnit], Awaitable[T]]) -> T:
        """See `Store.write`."""

        async def run(connection: AsyncConnection) -> T:
            await lock_revision(connection)
            unit = SqlUnit(connection)
            result = await work(unit)
            if any(event.name.changes_verdicts for event in unit.events):
                await raise_revision(connection)
            if unit.events:
                rows = [_OUTBOX.values(event) for event in unit.events]
                await connection.execute(insert(tables.outbox), rows)
            return result

        return await self._database.write(run)
