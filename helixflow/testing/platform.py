"""A whole platform in one process: shield, face, pipeline, identity, store and an echo engine.

    async with Platform.open(home) as platform:
        tenant = await platform.tenant("one")
        answer = await platform.ask("GET", "/v1/models", tenant.project_key)

Everything is the real thing but the calls between processes, of which only the wires are left, and
the clock, which the test turns. Called through ASGI (`ask`), or served on a socket
(`testing.http.serving(platform.app)`).
"""

from __future__ import annotations

import json
import pickle
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher

from helixflow.clock import SystemClock
from helixflow.crypto.passwords import Passwords
from helixflow.crypto.secret import Secret
from helixflow.engine.echo import EchoEngine
from helixflow.engine.replica import ModelReplica
from helixflow.gateway.http.app import Face, build_app
from helixflow.gateway.http.generation import Generation
from helixflow.gateway.http.shield import Shield
from helixflow.gateway.pipeline import Pipeline
from helixflow.gateway.published import Published
from helixflow.identity.api_keys import ApiKeys, KeyWish
from helixflow.identity.authenticator import Authenticator
from helixflow.identity.events import Actor
from helixflow.identity.grants import Grants
from helixflow.identity.invites import Invites
from helixflow.identity.keys import PEPPER_PURPOSE
from helixflow.identity.last_used import LastUsed
from helixflow.identity.limits import Limits
from helixflow.identity.login import Login
from helixflow.identity.office import Office
from helixflow.identity.permissions import Permission, Role
from helixflow.identity.policies import Policies
from helixflow.identity.policy_copies import PolicyCopies
from helixflow.identity.ports import PolicySet, Unit, Verdict
from helixflow.identity.projects import Projects
from helixflow.identity.quotas import Tiers
from helixflow.identity.records import Organization, Project
from helixflow.identity.service_accounts import ServiceAccounts
from helixflow.identity.signing_keys import Signer, SigningKeys
from helixflow.identity.users import Users
from helixflow.ids import (
    OrganizationId,
    ProjectId,
    RequestId,
    mint_organization_id,
    mint_project_id,
)
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.inference.frame import Frame
from helixflow.inference.request import EngineRequest
from helixflow.limits.ports import Unlimited
from helixflow.settings import Settings
from helixflow.signals import NullSignals
from helixflow.storage.audit_stores import AuditStores, prepare_audit
from helixflow.storage.contents import ContentStores, prepare_contents
from helixflow.storage.prepare import Prepared, prepare
from helixflow.storage.telemetry import TelemetryStores, prepare_telemetry
from helixflow.telemetry.audit.build import build_audit
from helixflow.telemetry.content.build import build_content
from helixflow.telemetry.content.keeper import Keeper
from helixflow.telemetry.content.ports import KeepWire, KeptWire
from helixflow.telemetry.content.vault import Vault
from helixflow.telemetry.desk import Desk as RecordsDesk
from helixflow.telemetry.outbox_shipping import administration
from helixflow.telemetry.prometheus import PrometheusRegistry, metrics_operations
from helixflow.telemetry.station import own_tally
from helixflow.telemetry.usage_desk import UsageDesk
from helixflow.telemetry.usage_sink import UsageSink
from helixflow.testing.clock import ManualClock
from helixflow.testing.desk import WiredDesk
from helixflow.testing.gateway import some_catalog, some_spec
from helixflow.testing.http import HttpAnswer, ask
from helixflow.testing.signals import RecordingSignals

T = TypeVar("T")

MODEL = "echo-1"
PASSWORD = "correct horse battery staple"  # noqa: S105 (of people that exist in a test alone)
_CALL_S = 10.0
_PATIENT_S = 30.0
_HEAD = 256
_AUTH = "auth-1"
_PUBLISHED = ("/.well-known/jwks.json", "/.well-known/openid-configuration")
_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def wired(value: T) -> T:
    """What arrives in another process."""
    arrived: T = pickle.loads(pickle.dumps(value))  # noqa: S301 (made one line above)
    return arrived


@dataclass
class Tenant:
    """An organization with one credential of every kind.

    Attributes:
        project_key, service_key, admin_key: texts.
        account: the id of the service account that has `service_key`.
        people: ids of users by their role in the organization; their password is `PASSWORD`.
    """

    organization: OrganizationId
    project: ProjectId
    project_key: str = ""
    service_key: str = ""
    admin_key: str = ""
    account: str = ""
    people: dict[Role, str] = field(default_factory=dict)

    def email(self, role: Role) -> str:
        """The address of the person with this role."""
        return f"{role}@{self.organization.replace('_', '-')}.test".lower()


class Platform:
    """See the module. Services (`projects`, `keys`, ...) make what a test needs without HTTP.

    `usage` and `audit.sink` take events, `metrics` deltas, as Telemetry does. What a project keeps of
    the content of requests waits in `keeper` until `keeper.step()`; `signals` counts what became of
    it.
    """

    def __init__(
        self,
        prepared: Prepared,
        kept: TelemetryStores,
        audited: AuditStores,
        contents: ContentStores,
        home: Path,
        clock: ManualClock,
        settings: Settings,
    ) -> None:
        self.prepared = prepared
        self.clock = clock
        self.settings = settings
        self.passwords = Passwords(hasher=_CHEAP)
        identity, stores, ring = settings.identity, prepared.stores, prepared.ring
        self.office = Office(
            store=stores.units, keys=stores.keys, purge=stores.purge, ring=ring, settings=identity,
            limits=settings.limits, content_days_max=settings.telemetry.content.days_max,
            clock=clock, passwords=self.passwords,
        )  # fmt: skip
        store, pepper = self.office.store, ring.derive(PEPPER_PURPOSE)
        self.projects = Projects(store, clock, settings.telemetry.content.days_max)
        self.keys = ApiKeys(store, pepper, clock)
        self.accounts = ServiceAccounts(store, self.keys, clock)
        self.users = Users(store, clock)
        self.policies = Policies(store, clock)
        self.limits = Limits(store, Tiers(settings.limits), clock)
        self.invites = Invites(store, self.users, ring, clock)
        self.signing = SigningKeys(store, ring, identity.tokens, clock)
        self.grants = Grants(
            store, stores.keys, self.signing, Login(store, self.passwords, clock), pepper,
            identity.tokens, clock,
        )  # fmt: skip
        auth = _Auth(self.office)
        self.authenticator = Authenticator(
            auth, identity, clock, NullSignals(), call_s=_CALL_S, tokens=auth.verify_token
        )
        records = self._build_records(kept, audited, contents, home)
        spec = some_spec(MODEL)
        self.pipeline = Pipeline(
            authenticator=self.authenticator,
            policies=PolicyCopies(auth, sets_max=64, call_s=_CALL_S),
            last_used=LastUsed(clock),
            catalog=some_catalog(),
            limiter=Unlimited(),
            dispatcher=_EchoDispatcher(ModelReplica(spec, EchoEngine(spec))),
            settings=settings.gateway,
            clock=SystemClock(),
            signals=NullSignals(),
            contents=self.keeper,
        )
        self.published = Published(auth, self.authenticator, clock)
        app = build_app(self.pipeline, self.published, records)
        self.routes = app.routes
        hot = Generation(self.pipeline, settings.http, settings.gateway, SystemClock())
        self.app = Shield(Face(app, self.pipeline, hot), settings.http.body_bytes_max)

    def _build_records(
        self, kept: TelemetryStores, audited: AuditStores, contents: ContentStores, home: Path
    ) -> WiredDesk:
        """What Telemetry has, and its desk."""
        ring, clock = self.prepared.ring, self.clock
        telemetry = self.settings.telemetry
        self.usage = UsageSink(kept.usage, telemetry.usage, clock)
        self.metrics = PrometheusRegistry()
        usage_desk = UsageDesk(kept.usage_queries, telemetry.usage, clock)
        self.audit = build_audit(
            audited.audit, audited.persons, ring, telemetry.audit, clock, own_tally()
        )
        self.content = build_content(
            contents.contents, contents.keys, ring, telemetry.content, self.audit.log,
            home / "content", clock, own_tally(),
        )  # fmt: skip
        operations = (
            *usage_desk.operations(), *metrics_operations(self.metrics),
            *self.audit.desk.operations(), *self.content.desk.operations(),
        )  # fmt: skip
        records = WiredDesk(RecordsDesk(operations, telemetry.hub))
        self.signals = RecordingSignals()
        self.keeper = Keeper(
            _Telemetry(records, self.content.vault), telemetry.content, clock, self.signals
        )
        return records

    @classmethod
    @asynccontextmanager
    async def open(
        cls, home: Path, *, clock: ManualClock | None = None, **settings: Any
    ) -> AsyncIterator[Platform]:
        """A platform in a home folder; what it leaves there, the next one finds.

        Its databases may take half a minute for a call, so that a busy machine fails no test.
        """
        patient = {"call_s": _PATIENT_S}
        tree = Settings.of({"storage": patient, "telemetry": {"storage": patient}} | settings)
        clock = clock or ManualClock()
        prepared = await prepare(tree.storage, home, clock, {})
        try:
            kept = await prepare_telemetry(tree.telemetry.storage, home)
            try:
                audited = await prepare_audit(kept.database, tree.telemetry, home, clock)
                try:
                    contents = await prepare_contents(audited.database, tree.telemetry, home)
                    try:
                        platform = cls(prepared, kept, audited, contents, home, clock, tree)
                        await platform.office.start()
                        yield platform
                        await platform.authenticator.aclose()
                    finally:
                        await contents.database.close()
                finally:
                    await audited.database.close()
            finally:
                await kept.database.close()
        finally:
            await prepared.stores.database.close()

    async def tenant(self, name: str) -> Tenant:
        """A fresh organization with a project, a key of each kind and a person in every role."""
        now = self.clock.now()
        tenant = Tenant(mint_organization_id(), mint_project_id())

        async def found(unit: Unit) -> None:
            await unit.organizations.add(Organization(tenant.organization, name, now))
            await unit.projects.add(Project(tenant.project, tenant.organization, name, now))

        await self.prepared.stores.units.write(found)
        actor, place = self.owner(tenant), tenant.project
        key = await self.keys.create(actor, place, KeyWish(f"{name}'s project"))
        admin = await self.keys.create(actor, None, KeyWish(f"{name}'s administration"))
        account = await self.accounts.create(actor, place, f"{name}'s robot")
        tenant.project_key = key.secret.reveal()
        tenant.admin_key = admin.secret.reveal()
        tenant.service_key = account.issued.secret.reveal()
        tenant.account = account.account.id
        hashed = await self.passwords.hash(Secret(PASSWORD))
        for role in Role:
            user = await self.users.create(actor, tenant.email(role), role.value, role, hashed)
            tenant.people[role] = user.id
        return tenant

    def owner(self, tenant: Tenant) -> Actor:
        """Somebody who may do everything in an organization, for making what a test needs."""
        return Actor(tenant.organization, "a test", frozenset(Permission))

    async def token(self, tenant: Tenant, role: Role, project: ProjectId | None = None) -> str:
        """An access token of the person with this role in the organization."""
        return await self.token_of(tenant, tenant.email(role), project)

    async def token_of(self, tenant: Tenant, email: str, project: ProjectId | None = None) -> str:
        """An access token of somebody whose password is `PASSWORD`."""
        granted = await self.grants.password(
            tenant.organization, project or tenant.project, email, Secret(PASSWORD)
        )
        return granted.access.reveal()

    async def revoke_token(self, token: str) -> None:
        """End an access token before its time."""
        await self.grants.revoke(Secret(token))

    async def signer(self) -> Signer:
        """The key that signs access tokens now."""
        return await self.signing.signer()

    async def revision(self) -> int:
        """The identity revision; what raises it was a change."""
        return await self.office.revision()

    async def ship_changes(self) -> None:
        """Bring what administration changed to the audit log and to the kept content."""
        rows = await self.prepared.stores.outbox.head(_HEAD)
        events = [administration(row.event) for row in rows]
        for sink in (self.audit.sink, self.content.sink):
            held = await sink.high_water(_AUTH)
            await sink.write(_AUTH, held + len(events), events)
        if rows:
            await self.prepared.stores.outbox.forget(rows[-1].sequence)

    async def ask(
        self,
        method: str,
        path: str,
        credential: str | None = None,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        source: str = "203.0.113.7",
    ) -> HttpAnswer:
        """One request; `body` becomes JSON unless it is bytes, `path` may have a query.

        The Ingress learns of every change first, as it does within `revision_poll_s`.
        """
        await self.authenticator.poll_revision()
        if path in _PUBLISHED:
            await self.published.poll()
        data = b"" if body is None else body if isinstance(body, bytes) else _json(body)
        sent = {"content-type": "application/json"} if body is not None else {}
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
            sent = {"content-type": "application/x-www-form-urlencoded"}
        if credential is not None:
            sent["authorization"] = f"Bearer {credential}"
        sent |= {"content-length": str(len(data)), **(headers or {})}
        target, _, query = path.partition("?")
        return await ask(
            self.app,
            method,
            urllib.parse.unquote(target),
            headers=[(name.encode(), _latin(value)) for name, value in sent.items()],
            pieces=[data],
            query_string=query.encode(),
            raw_path=target.encode(),
            client=(source, 40_000),
        )


class _Auth:
    """Auth as an Ingress has it: what comes and goes was a plain tuple in between."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def verify(self, digest: bytes) -> Verdict:
        """See `Authority.verify`."""
        verdict = await self._office.verify(wired(digest))
        return Verdict.from_wire(wired(verdict.to_wire()))

    async def verify_token(self, token: str) -> Verdict:
        """See `AskAboutToken`."""
        verdict = await self._office.verify_token(wired(token))
        return Verdict.from_wire(wired(verdict.to_wire()))

    async def revision(self) -> int:
        """See `Authority.revision`."""
        return wired(await self._office.revision())

    async def policies(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        """See `PolicySource.policies`."""
        told = await self._office.policies(organization, project)
        return PolicySet.from_wire(wired(told.to_wire()))

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `gateway.ports.Desk.call`."""
        return DeskAnswer.from_wire(wired(await self._office.desk.handle(wired(call.to_wire()))))


class _Telemetry:
    """`VaultPort` over parts in this process."""

    def __init__(self, records: WiredDesk, vault: Vault) -> None:
        self._records = records
        self._vault = vault

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `VaultPort.call`."""
        return await self._records.call(call)

    async def keep(self, batch: KeepWire) -> KeptWire:
        """See `VaultPort.keep`."""
        return wired(await self._vault.keep(wired(batch)))


class _EchoDispatcher:
    """`Dispatcher` with one replica in this process."""

    def __init__(self, replica: ModelReplica) -> None:
        self._replica = replica

    def left(self, request_id: RequestId) -> None:
        """See `Dispatcher.left`."""

    async def unary(self, request: EngineRequest) -> Frame:
        """See `Dispatcher.unary`."""
        return Frame.from_wire(wired(await self._replica.unary(wired(request.to_wire()))))

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        """See `Dispatcher.stream`."""
        async with aclosing(self._replica.stream(wired(request.to_wire()))) as frames:
            async for frame in frames:
                yield Frame.from_wire(wired(frame))


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _latin(value: str) -> bytes:
    return value.encode("latin-1")
