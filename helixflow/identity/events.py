"""What administration did, and which tokens were granted: one event each, in its transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.principal import Principal


class EventName(StrEnum):
    """Every kind of admin event, `resource:action`, in alphabetical order."""

    CONTENT_ERASE = "content:erase"
    INSTALLATION_CREATE = "installation:create"
    KEY_CREATE = "key:create"
    KEY_REVOKE = "key:revoke"
    KEY_ROTATE = "key:rotate"
    KEY_UPDATE = "key:update"
    LIMIT_CREATE = "limit:create"
    LIMIT_DELETE = "limit:delete"
    LIMIT_UPDATE = "limit:update"
    MEMBER_CREATE = "member:create"
    MEMBER_DELETE = "member:delete"
    MEMBER_UPDATE = "member:update"
    ORGANIZATION_UPDATE = "organization:update"
    POLICY_CREATE = "policy:create"
    POLICY_DELETE = "policy:delete"
    POLICY_UPDATE = "policy:update"
    PROJECT_ARCHIVE = "project:archive"
    PROJECT_CREATE = "project:create"
    PROJECT_UPDATE = "project:update"
    SERVICE_ACCOUNT_CREATE = "service_account:create"
    SERVICE_ACCOUNT_DISABLE = "service_account:disable"
    SIGNING_KEY_CREATE = "signing_key:create"
    SIGNING_KEY_REVOKE = "signing_key:revoke"
    TOKEN_GRANT = "token:grant"  # noqa: S105 (the name of an event)
    TOKEN_REUSE = "token:reuse"  # noqa: S105
    TOKEN_REVOKE = "token:revoke"  # noqa: S105
    USER_CREATE = "user:create"
    USER_DISABLE = "user:disable"
    USER_LOCK = "user:lock"
    USER_UPDATE = "user:update"

    @property
    def changes_verdicts(self) -> bool:
        """Whether what was decided before it may be wrong after it.

        A token that is granted takes nothing back: verdicts and policies stay as they are.
        """
        return self is not EventName.TOKEN_GRANT


@dataclass(frozen=True, slots=True)
class Actor:
    """Who administers.

    Attributes:
        organization: the tenant; nothing outside it exists for this actor.
        id: a key's, a user's or a service account's id, or `system`.
        permissions: what the actor may do.
    """

    organization: OrganizationId
    id: str
    permissions: frozenset[str] = frozenset()

    @staticmethod
    def of(principal: Principal) -> Actor:
        """The caller as an administrator, within what it may do."""
        return Actor(principal.organization, principal.key, principal.permissions)


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, str]:
    """The fields that differ, as an event's detail: `<field>.before` and `<field>.after`.

    A side on which there is nothing is left out.
    """
    return {
        f"{name}.{side}": str(facts[name])
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
        for side, facts in (("before", before), ("after", after))
        if facts.get(name) is not None
    }


@dataclass(frozen=True, slots=True)
class Event:
    """A change, as the audit log will have it.

    Attributes:
        id: random; shipping it twice is recognized by it.
        name, actor, target: what was done, by whom, to which object (ids).
        organization, project: whose it is.
        at: epoch seconds.
        detail: names and values that are no secret: the fields of the target that changed, as
            `<field>.before` and `<field>.after`, and where the request came from (witness.py).
    """

    name: EventName
    organization: OrganizationId
    project: ProjectId | None
    actor: str
    target: str
    at: float
    detail: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: "evt_" + secrets.token_hex(16))
