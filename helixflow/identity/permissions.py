"""What may be done, and who may do it.

A permission is `resource:action`. Roles and kinds of key give permissions; `decide` answers with a
value. Two sets never meet in one API key: what infers and what administers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from helixflow.errors import Forbidden, Refusal
from helixflow.identity.keys import KeyKind
from helixflow.inference.principal import Principal


class Permission(StrEnum):
    """Everything that can be permitted, in alphabetical order."""

    AUDIT_ERASE = "audit:erase"
    AUDIT_READ = "audit:read"
    CONTENT_DELETE = "content:delete"
    CONTENT_READ = "content:read"
    KEY_CREATE = "key:create"
    KEY_READ = "key:read"
    KEY_REVOKE = "key:revoke"
    KEY_UPDATE = "key:update"
    LIMIT_READ = "limit:read"
    LIMIT_UPDATE = "limit:update"
    MEMBER_CREATE = "member:create"
    MEMBER_DELETE = "member:delete"
    MEMBER_READ = "member:read"
    MEMBER_UPDATE = "member:update"
    METRICS_READ = "metrics:read"
    MODEL_INVOKE = "model:invoke"
    MODEL_LIST = "model:list"
    MODEL_READ = "model:read"
    MODEL_UPDATE = "model:update"
    ORGANIZATION_READ = "organization:read"
    ORGANIZATION_UPDATE = "organization:update"
    POLICY_CREATE = "policy:create"
    POLICY_DELETE = "policy:delete"
    POLICY_READ = "policy:read"
    POLICY_UPDATE = "policy:update"
    PROJECT_CREATE = "project:create"
    PROJECT_DELETE = "project:delete"
    PROJECT_READ = "project:read"
    PROJECT_UPDATE = "project:update"
    SERVICE_ACCOUNT_CREATE = "service_account:create"
    SERVICE_ACCOUNT_DELETE = "service_account:delete"
    SERVICE_ACCOUNT_READ = "service_account:read"
    SERVICE_ACCOUNT_UPDATE = "service_account:update"
    SIGNING_KEY_READ = "signing_key:read"
    SIGNING_KEY_ROTATE = "signing_key:rotate"
    USAGE_READ = "usage:read"
    USER_CREATE = "user:create"
    USER_DELETE = "user:delete"
    USER_READ = "user:read"
    USER_UPDATE = "user:update"


class Role(StrEnum):
    """What a member is in an organization or a project."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    DEVELOPER = "developer"
    OWNER = "owner"
    VIEWER = "viewer"


Permissions: TypeAlias = frozenset[str]

INFERENCE: Permissions = frozenset(
    {Permission.MODEL_INVOKE, Permission.MODEL_LIST, Permission.MODEL_READ}
)
"""What a project's or a service account's key may do at most."""

ADMINISTRATION: Permissions = frozenset(Permission) - INFERENCE
"""What an admin key may do at most."""

_READING: Permissions = frozenset(
    name
    for name in Permission
    if name.endswith((":list", ":read"))
    and name not in (Permission.AUDIT_READ, Permission.CONTENT_READ, Permission.METRICS_READ)
)
_OWNERS_ALONE: Permissions = frozenset(
    {
        Permission.AUDIT_ERASE,
        Permission.CONTENT_READ,
        Permission.ORGANIZATION_UPDATE,
        Permission.SIGNING_KEY_ROTATE,
    }
)

ROLE_PERMISSIONS: MappingProxyType[Role, Permissions] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Permission) - _OWNERS_ALONE,
        Role.AUDITOR: _READING | {Permission.AUDIT_READ, Permission.METRICS_READ},
        Role.DEVELOPER: INFERENCE
        | {
            Permission.KEY_CREATE,
            Permission.KEY_READ,
            Permission.KEY_REVOKE,
            Permission.KEY_UPDATE,
            Permission.LIMIT_READ,
            Permission.MEMBER_READ,
            Permission.PROJECT_READ,
            Permission.SERVICE_ACCOUNT_READ,
            Permission.USAGE_READ,
        },
        Role.OWNER: frozenset(Permission),
        Role.VIEWER: _READING,
    }
)

KIND_PERMISSIONS: MappingProxyType[KeyKind, Permissions] = MappingProxyType(
    {
        KeyKind.ADMIN: ADMINISTRATION,
        KeyKind.PROJECT: INFERENCE,
        KeyKind.SERVICE: INFERENCE,
    }
)


def permissions_of(roles: Iterable[Role]) -> Permissions:
    """What these roles give together."""
    granted: Permissions = frozenset()
    for role in roles:
        granted |= ROLE_PERMISSIONS[role]
    return granted


def key_permissions(kind: KeyKind, scopes: Iterable[str] | None = None) -> Permissions:
    """What a key of this kind may do; `scopes` can only take away."""
    ceiling = KIND_PERMISSIONS[kind]
    return ceiling if scopes is None else ceiling & frozenset(scopes)


@dataclass(frozen=True, slots=True)
class Allow:
    """It may."""


@dataclass(frozen=True, slots=True)
class Deny:
    """It may not; `message` says what is lacking, in words for the caller."""

    reason: Refusal
    message: str

    def refused(self) -> Forbidden:
        """The denial as an error, for the edge that must raise one."""
        return Forbidden(self.reason, self.message)


Decision: TypeAlias = Allow | Deny

_ALLOW = Allow()


def decide(principal: Principal, permission: str) -> Decision:
    """Whether a caller has a permission. Policies are asked after this, never instead of it."""
    if permission in principal.permissions:
        return _ALLOW
    return Deny(
        Refusal.PERMISSION_DENIED, f"This credential does not have the permission {permission}."
    )
