"""The rows of identity, as frozen values. Times are epoch seconds.

A field that names another object holds its id; storage keeps it in the column `<field>_id`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from helixflow.identity.permissions import Role
from helixflow.ids import OrganizationId, ProjectId, ServiceAccountId, UserId
from helixflow.inference.quota import LimitName, Quota, Scope, ServiceClass


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant.

    Attributes:
        tier: the name of its tier; None for the default one.
        weight, service_class: its share of a contended model; None for what its tier says.
    """

    id: OrganizationId
    name: str
    created_at: float
    disabled_at: float | None = None
    tier: str | None = None
    weight: float | None = None
    service_class: ServiceClass | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A part of a tenant; what infers belongs to one.

    Attributes:
        content_days: how long the content of its requests is kept; None keeps none.
        content_period: how often keeping was begun or begun anew; None before the first time.
    """

    id: ProjectId
    organization: OrganizationId
    name: str
    created_at: float
    archived_at: float | None = None
    content_days: int | None = None
    content_period: int | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A person.

    Attributes:
        email: unique in the organization, lower case.
        password: the argon2id hash; None where the person comes from an outside issuer.
        failures: wrong passwords in a row.
        locked_until: no password is looked at before this.
    """

    id: UserId
    organization: OrganizationId
    email: str
    name: str
    created_at: float
    password: str | None = None
    failures: int = 0
    locked_until: float | None = None
    disabled_at: float | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's role in a project, or in the whole organization (`project` None)."""

    id: str
    organization: OrganizationId
    project: ProjectId | None
    user: UserId
    role: Role
    created_at: float


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A program that has keys of its own."""

    id: ServiceAccountId
    organization: OrganizationId
    project: ProjectId
    name: str
    created_at: float
    disabled_at: float | None = None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One link of a chain of refresh tokens.

    Attributes:
        family: the first token's id. A token that is used twice ends the whole family, which is
            noted in the first one's `revoked_at`.
        subject: the user's or the service account's id.
        mac: as of an API key.
        used_at: when it was exchanged for the next one.
    """

    id: str
    organization: OrganizationId
    project: ProjectId
    family: str
    subject: str
    mac: bytes
    scopes: frozenset[str]
    created_at: float
    expires_at: float
    used_at: float | None = None
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class RevokedToken:
    """An access token that was ended before its time; kept until it would have expired.

    Attributes:
        id: the token's `jti`.
    """

    id: str
    organization: OrganizationId
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs access tokens.

    Attributes:
        id: the `kid`.
        public: the public key as a JWK in JSON.
        private: the private key, sealed under the master key.
        signs_from, signs_until: when it signs.
        verifies_until: when it leaves the published set.
    """

    id: str
    public: str
    private: bytes
    created_at: float
    signs_from: float
    signs_until: float
    verifies_until: float
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A Cedar policy of an organization, or of one of its projects."""

    id: str
    organization: OrganizationId
    project: ProjectId | None
    name: str
    source: str
    enabled: bool
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class StoredQuota:
    """A limit of an organization that stands in the place of what its tier says.

    Attributes:
        project: where the entity is in a project, or is one.
        entity, entity_id: whose requests it is about: all of the organization's, those of one
            project, user (or service account) or key, or those to one model.
        name, amount, hard, model: as in `Quota`.
        scopes: as in `Quota`, with commas between them.
    """

    id: str
    organization: OrganizationId
    project: ProjectId | None
    entity: Scope
    entity_id: str
    name: LimitName
    scopes: str
    amount: int
    hard: bool
    model: str
    created_at: float
    updated_at: float

    @property
    def quota(self) -> Quota:
        """The limit itself."""
        scopes = tuple(Scope(word) for word in self.scopes.split(","))
        return Quota(self.name, scopes, self.amount, self.hard, self.model)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that was added while the platform ran; `spec` is `ModelSpec.to_json`."""

    id: str
    organization: OrganizationId
    spec: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Answered:
    """What a POST with an idempotency key was answered.

    Attributes:
        id: a hash over the organization, the caller and its idempotency key.
        request: the SHA-256 of the request; another request under the same key is refused.
        body: the answer, sealed under the master key.
    """

    id: str
    organization: OrganizationId
    request: bytes
    status: int
    body: bytes
    created_at: float


_NOT_DECIDED = frozenset({"failures", "last_used_at", "locked_until"})
"""What is noted along the way."""


def etag(record: Any) -> str:
    """A strong entity tag over a record: over all that its owners decide about."""
    fields = msgspec.to_builtins(record, order="deterministic")
    decided = {name: value for name, value in fields.items() if name not in _NOT_DECIDED}
    data = msgspec.json.encode(decided, order="deterministic")
    return '"' + hashlib.sha256(data).hexdigest()[:32] + '"'
