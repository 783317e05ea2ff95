"""The audit log on the wire: OpenAI's audit logs, seals, erasures."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field

from helixflow.api.administration import Asked, Word
from helixflow.api.wire import Wire

Chain: TypeAlias = Literal["organization", "platform"]


class AuditActor(Wire):
    """Who did it. `forgotten` has the blind index of somebody whose key was erased."""

    type: Literal["api_key", "forgotten", "session", "system", "unknown"]


class AuditLog(Wire):
    """Something that happened. What it was done to is in the field that `type` names."""

    object: Literal["organization.audit_log"] = "organization.audit_log"
    id: str
    type: str = Field(examples=["api_key.created"])
    effective_at: int
    actor: AuditActor
    project: dict[str, Any] | None = None
    action: str | None = Field(default=None, examples=["project:key:create"])
    outcome: Literal["denied", "done", "failed"] | None = None
    reason: str | None = None
    request_id: str | None = None
    count: int = Field(default=1, description="How many that were alike, up to `until`.")
    until: int | None = None
    forgotten: list[str] = Field(default_factory=list)
    sequence: int = Field(description="Its number in the chain.")
    hash: str = Field(description="The chain's head with it.")


class AuditLogs(Wire):
    """A part of the log, the newest first. `last_id` is the `after` of the next part."""

    object: Literal["list"] = "list"
    data: list[AuditLog]
    first_id: str | None
    last_id: str | None
    has_more: bool


class AuditSeal(Wire):
    """A signed head of the chain. `line` is what a file of seals has."""

    object: Literal["organization.audit_log.seal"] = "organization.audit_log.seal"
    sequence: int
    head: str
    kind: Literal["begin", "seal"]
    sealed_at: int
    public_key: str
    line: str


class AuditSeals(Wire):
    """Seals, the oldest first. `public_key` is the one that seals now."""

    object: Literal["list"] = "list"
    data: list[AuditSeal]
    chain: str
    public_key: str
    has_more: bool


class ErasureRequest(Asked):
    """Whom the log is to forget: a user's, key's or service account's id, or an address."""

    person: Word = Field(examples=["user_6b1f"])
    chain: Chain = "organization"


class Erasure(Wire):
    """The person's key is gone. `index` is what its records have in its place."""

    object: Literal["organization.audit_log.erasure"] = "organization.audit_log.erasure"
    index: str
    erased_at: int
