"""What identity needs of the store, and what the pipeline needs of identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from helixflow.errors import HelixFlowError, RefusalWire, Refused
from helixflow.identity.events import Event
from helixflow.identity.keys import KeyKind
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
from helixflow.ids import KeyId, OrganizationId, ProjectId, ServiceAccountId
from helixflow.inference.principal import Keeping, Principal, PrincipalWire

VerdictWire: TypeAlias = tuple[
    int, PrincipalWire | None, RefusalWire | None, int, float | None, tuple[str, ...] | None
]

R = TypeVar("R")
Scope = TypeVar("Scope", contravariant=True)
T = TypeVar("T")

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """An authentication's outcome, as Auth decides it and an Ingress keeps it for a while.

    Attributes:
        principal: who it is, or None.
        refused: why it is nobody, or None.
        revision: the identity revision that this was decided at.
        expires_at: epoch seconds after which the credential itself is no longer valid, or None.
        cidrs: networks that the credential may be used from; None means all.
    """

    principal: Principal | None
    refused: Refused | None
    revision: int
    expires_at: float | None = None
    cidrs: tuple[str, ...] | None = None

    def to_wire(self) -> VerdictWire:
        return (
            _VERSION,
            None if self.principal is None else self.principal.to_wire(),
            None if self.refused is None else self.refused.to_wire(),
            self.revision,
            self.expires_at,
            self.cidrs,
        )

    @staticmethod
    def from_wire(wire: VerdictWire) -> Verdict:
        _, principal, refused, revision, expires_at, cidrs = wire
        return Verdict(
            None if principal is None else Principal.from_wire(principal),
            None if refused is None else Refused.from_wire(refused),
            revision,
            expires_at,
            None if cidrs is None else tuple(cidrs),
        )


class Authority(Protocol):
    """Auth, as an Ingress calls it. Every call has a deadline of its own."""

    async def verify(self, digest: bytes) -> Verdict:
        """Decide about a key by the SHA-256 digest of its text (32 bytes).

        Raises `Unavailable` (`auth_unavailable`) where Auth or its store does not answer.
        """
        ...

    async def revision(self) -> int:
        """The newest identity revision."""
        ...


PolicySetWire: TypeAlias = tuple[int, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class PolicySet:
    """The policies that are in force in one project.

    Attributes:
        fingerprint: of the texts; the same texts have the same one. Empty where there are none.
        texts: `(id, Cedar text)`, ordered by id.
    """

    fingerprint: str = ""
    texts: tuple[tuple[str, str], ...] = ()

    def to_wire(self) -> PolicySetWire:
        return (_VERSION, self.fingerprint, self.texts)

    @staticmethod
    def from_wire(wire: PolicySetWire) -> PolicySet:
        _, fingerprint, texts = wire
        return PolicySet(fingerprint, tuple((name, text) for name, text in texts))


class PolicySource(Protocol):
    """Auth, as an Ingress asks it for policies."""

    async def policies(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        """What is in force in a project. Raises `Unavailable` (`auth_unavailable`)."""
        ...


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key as the store has it.

    Attributes:
        id, organization, name, kind: what it is and whose.
        project: where it may infer; None for an admin key, which belongs to the organization.
        mac: HMAC-SHA256 under the pepper of the SHA-256 digest of the key's text, 32 bytes.
        hint: the first and last characters, for people to recognize it by.
        permissions: what it may do.
        models: models that it may see; None means all.
        created_at, expires_at, revoked_at: epoch seconds.
        service_account: the program that it belongs to, for a service key.
        cidrs: networks that it may be used from; None means all.
        last_used_at: when it was last seen, coarse (written in batches).
    """

    id: KeyId
    organization: OrganizationId
    project: ProjectId | None
    name: str
    kind: KeyKind
    mac: bytes
    hint: str
    permissions: frozenset[str]
    models: frozenset[str] | None
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    service_account: ServiceAccountId | None = None
    cidrs: frozenset[str] | None = None
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A look-up's answer, all of one state of the store.

    Attributes:
        key: the key, or None.
        revision: the identity revision of that state.
        disabled: whether the key's organization, project or service account is switched off.
        policies: whether the key's organization has policies that are in force.
        limits: whether the key's organization has a tier, a share or limits of its own.
        keeping: whether the key's project keeps the content of requests.
    """

    key: StoredKey | None
    revision: int
    disabled: bool = False
    policies: bool = False
    limits: bool = False
    keeping: Keeping | None = None


class Touch(Protocol):
    """Where last uses are written down."""

    async def touch(self, used: Mapping[KeyId, float]) -> None:
        """Note when keys were last used (epoch seconds). No change of identity."""
        ...


class KeyStore(Touch, Protocol):
    """The keys, as verification uses them. Raises `Unavailable` where the database is away."""

    async def find(self, mac: bytes) -> Found:
        """The key with this MAC, revoked or expired ones included, and the revision: one read."""
        ...

    async def revision(self) -> int:
        """The identity revision: raised by every change, in the change's own transaction.

        Not by an event that takes nothing back (`EventName.changes_verdicts`).
        """
        ...


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A part of a list, oldest first; `more` says that something follows."""

    items: tuple[R, ...]
    more: bool


class Records(Protocol[R, Scope]):
    """One kind of record, within a transaction. Every call names the tenant that it is for.

    What belongs to another tenant is not there.
    """

    async def get(self, scope: Scope, record_id: str) -> R | None:
        """The record with this id."""
        ...

    async def page(self, scope: Scope, after: str | None, limit: int, **fields: object) -> Page[R]:
        """Up to `limit` records in the order of their creation, after the one with id `after`.

        Of all, or of those whose fields have these values. Raises `NotFound` where `after` names
        nothing of this tenant.
        """
        ...

    async def where(self, scope: Scope, **fields: object) -> list[R]:
        """The records whose fields have these values, at most a thousand, oldest first."""
        ...

    async def add(self, record: R) -> None:
        """Store a fresh record. Raises `AlreadyThere` where a rule of uniqueness says no."""
        ...

    async def put(self, record: R) -> None:
        """Replace a record that `get` gave in the same transaction."""
        ...

    async def remove(self, record: R) -> None:
        """Delete a record."""
        ...


class AlreadyThere(HelixFlowError):
    """A record of the same name or key exists."""


@dataclass(frozen=True, slots=True)
class QuotaShapes:
    """What kinds of limits an organization has of its own.

    Attributes:
        rows: how many.
        shapes: their different `(name, scopes, model)`, as they are stored.
    """

    rows: int
    shapes: frozenset[tuple[str, str, str]]


class Unit(Protocol):
    """A transaction: all records, and the events that go with their changes."""

    @property
    def organizations(self) -> Records[Organization, OrganizationId]: ...

    @property
    def projects(self) -> Records[Project, OrganizationId]: ...

    @property
    def users(self) -> Records[User, OrganizationId]: ...

    @property
    def memberships(self) -> Records[Membership, OrganizationId]: ...

    @property
    def service_accounts(self) -> Records[ServiceAccount, ProjectId]: ...

    @property
    def keys(self) -> Records[StoredKey, ProjectId]: ...

    @property
    def admin_keys(self) -> Records[StoredKey, OrganizationId]: ...

    @property
    def refresh_tokens(self) -> Records[RefreshToken, OrganizationId]: ...

    @property
    def revoked_tokens(self) -> Records[RevokedToken, OrganizationId]: ...

    @property
    def signing_keys(self) -> Records[SigningKey, None]: ...

    @property
    def policies(self) -> Records[StoredPolicy, OrganizationId]: ...

    @property
    def quotas(self) -> Records[StoredQuota, OrganizationId]: ...

    @property
    def models(self) -> Records[StoredModel, OrganizationId]: ...

    @property
    def answered(self) -> Records[Answered, OrganizationId]: ...

    async def installation(self) -> Installation | None:
        """What the first start wrote, or None before it."""
        ...

    async def install(self, installation: Installation) -> None:
        """Write down the first start. Raises `AlreadyThere` where somebody else was first."""
        ...

    async def refresh_token(self, mac: bytes) -> RefreshToken | None:
        """The refresh token with this MAC, whosever it is: who presents it is not known yet."""
        ...

    async def key(self, organization: OrganizationId, key: KeyId) -> Found:
        """A key of any project of an organization, and whether its tenant is switched off."""
        ...

    async def service_account(
        self, organization: OrganizationId, account: str
    ) -> ServiceAccount | None:
        """A service account of any project of an organization."""
        ...

    async def quotas_about(
        self, organization: OrganizationId, entities: Collection[tuple[str, str | None]]
    ) -> list[StoredQuota]:
        """The limits about any of these `(entity, entity_id)`; without an id, about all of a kind."""
        ...

    async def has_quotas_about(
        self, organization: OrganizationId, entities: Collection[str]
    ) -> bool:
        """Whether there is a limit about one of these kinds of entities."""
        ...

    async def quota_shapes(self, organization: OrganizationId) -> QuotaShapes:
        """What kinds of limits an organization has."""
        ...

    async def revision(self) -> int:
        """The identity revision of this unit's state."""
        ...

    def record(self, event: Event) -> None:
        """Note what was done; it is stored when the unit commits, and the revision raised where
        the event `changes_verdicts`."""
        ...


class Store(Protocol):
    """Runs units of work. Raises `Unavailable` where the database is away."""

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Run `work` on one consistent state."""
        ...

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Run `work` alone; all that it did is kept when it returns, nothing when it raises."""
        ...


@dataclass(frozen=True, slots=True)
class Installation:
    """What the first start wrote down: the tenant that everybody begins with.

    Attributes:
        organization, project: the default ones.
        master_check: `KeyRing.check_value` of the master key that this database belongs to.
        created_at: epoch seconds.
    """

    organization: OrganizationId
    project: ProjectId
    master_check: bytes
    created_at: float
