"""What each route asks of its caller. A route that stands in no table is refused.

The tables hold every route of the HTTP face, in alphabetical order of their paths; a test walks all
routes and finds each one here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from helixflow.identity.permissions import Permission

OPEN_ROUTES = frozenset(
    {
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/docs",
        "/docs/{asset}",
        "/healthz",
        "/openapi.json",
        "/readyz",
        "/v1/auth/accept",
        "/v1/auth/revoke",
        "/v1/auth/token",
    }
)
"""Paths that anybody may ask for, by whatever methods they have."""

OWN_ROUTES = frozenset({("GET", "/v1/limits")})
"""What every known caller may ask, whatever it may do besides: it is about the caller alone."""

ROUTE_PERMISSIONS: Mapping[tuple[str, str], Permission] = MappingProxyType(
    {
        ("GET", "/metrics"): Permission.METRICS_READ,
        ("POST", "/v1/chat/completions"): Permission.MODEL_INVOKE,
        ("POST", "/v1/completions"): Permission.MODEL_INVOKE,
        ("GET", "/v1/models"): Permission.MODEL_LIST,
        ("GET", "/v1/models/{model:path}"): Permission.MODEL_READ,
        ("GET", "/v1/organization"): Permission.ORGANIZATION_READ,
        ("POST", "/v1/organization"): Permission.ORGANIZATION_UPDATE,
        ("GET", "/v1/organization/admin_api_keys"): Permission.ORGANIZATION_READ,
        ("POST", "/v1/organization/admin_api_keys"): Permission.ORGANIZATION_UPDATE,
        ("DELETE", "/v1/organization/admin_api_keys/{key_id}"): Permission.ORGANIZATION_UPDATE,
        ("GET", "/v1/organization/admin_api_keys/{key_id}"): Permission.ORGANIZATION_READ,
        ("GET", "/v1/organization/audit_logs"): Permission.AUDIT_READ,
        ("POST", "/v1/organization/audit_logs/erasures"): Permission.AUDIT_ERASE,
        ("GET", "/v1/organization/audit_logs/export"): Permission.AUDIT_READ,
        ("GET", "/v1/organization/audit_logs/seals"): Permission.AUDIT_READ,
        ("GET", "/v1/organization/costs"): Permission.USAGE_READ,
        ("GET", "/v1/organization/invites"): Permission.USER_READ,
        ("POST", "/v1/organization/invites"): Permission.USER_CREATE,
        ("DELETE", "/v1/organization/invites/{invite_id}"): Permission.USER_DELETE,
        ("GET", "/v1/organization/invites/{invite_id}"): Permission.USER_READ,
        ("GET", "/v1/organization/limits"): Permission.LIMIT_READ,
        ("POST", "/v1/organization/limits"): Permission.LIMIT_UPDATE,
        ("DELETE", "/v1/organization/limits/{limit_id}"): Permission.LIMIT_UPDATE,
        ("GET", "/v1/organization/limits/{limit_id}"): Permission.LIMIT_READ,
        ("POST", "/v1/organization/limits/{limit_id}"): Permission.LIMIT_UPDATE,
        ("GET", "/v1/organization/policies"): Permission.POLICY_READ,
        ("POST", "/v1/organization/policies"): Permission.POLICY_CREATE,
        ("POST", "/v1/organization/policies/explain"): Permission.POLICY_READ,
        ("DELETE", "/v1/organization/policies/{policy_id}"): Permission.POLICY_DELETE,
        ("GET", "/v1/organization/policies/{policy_id}"): Permission.POLICY_READ,
        ("POST", "/v1/organization/policies/{policy_id}"): Permission.POLICY_UPDATE,
        ("GET", "/v1/organization/projects"): Permission.PROJECT_READ,
        ("POST", "/v1/organization/projects"): Permission.PROJECT_CREATE,
        ("GET", "/v1/organization/projects/{project_id}"): Permission.PROJECT_READ,
        ("POST", "/v1/organization/projects/{project_id}"): Permission.PROJECT_UPDATE,
        ("GET", "/v1/organization/projects/{project_id}/api_keys"): Permission.KEY_READ,
        ("POST", "/v1/organization/projects/{project_id}/api_keys"): Permission.KEY_CREATE,
        (
            "DELETE",
            "/v1/organization/projects/{project_id}/api_keys/{key_id}",
        ): Permission.KEY_REVOKE,
        ("GET", "/v1/organization/projects/{project_id}/api_keys/{key_id}"): Permission.KEY_READ,
        ("POST", "/v1/organization/projects/{project_id}/api_keys/{key_id}"): Permission.KEY_UPDATE,
        (
            "POST",
            "/v1/organization/projects/{project_id}/api_keys/{key_id}/rotate",
        ): Permission.KEY_CREATE,
        ("POST", "/v1/organization/projects/{project_id}/archive"): Permission.PROJECT_DELETE,
        ("DELETE", "/v1/organization/projects/{project_id}/content"): Permission.CONTENT_DELETE,
        ("GET", "/v1/organization/projects/{project_id}/content"): Permission.CONTENT_READ,
        (
            "DELETE",
            "/v1/organization/projects/{project_id}/content/{request_id}",
        ): Permission.CONTENT_DELETE,
        (
            "GET",
            "/v1/organization/projects/{project_id}/content/{request_id}",
        ): Permission.CONTENT_READ,
        ("GET", "/v1/organization/projects/{project_id}/rate_limits"): Permission.LIMIT_READ,
        (
            "POST",
            "/v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}",
        ): Permission.LIMIT_UPDATE,
        (
            "GET",
            "/v1/organization/projects/{project_id}/service_accounts",
        ): Permission.SERVICE_ACCOUNT_READ,
        (
            "POST",
            "/v1/organization/projects/{project_id}/service_accounts",
        ): Permission.SERVICE_ACCOUNT_CREATE,
        (
            "DELETE",
            "/v1/organization/projects/{project_id}/service_accounts/{service_account_id}",
        ): Permission.SERVICE_ACCOUNT_DELETE,
        (
            "GET",
            "/v1/organization/projects/{project_id}/service_accounts/{service_account_id}",
        ): Permission.SERVICE_ACCOUNT_READ,
        ("GET", "/v1/organization/projects/{project_id}/users"): Permission.MEMBER_READ,
        ("POST", "/v1/organization/projects/{project_id}/users"): Permission.MEMBER_CREATE,
        (
            "DELETE",
            "/v1/organization/projects/{project_id}/users/{user_id}",
        ): Permission.MEMBER_DELETE,
        ("GET", "/v1/organization/projects/{project_id}/users/{user_id}"): Permission.MEMBER_READ,
        (
            "POST",
            "/v1/organization/projects/{project_id}/users/{user_id}",
        ): Permission.MEMBER_UPDATE,
        ("GET", "/v1/organization/roles"): Permission.ORGANIZATION_READ,
        ("GET", "/v1/organization/signing_keys"): Permission.SIGNING_KEY_READ,
        ("POST", "/v1/organization/signing_keys/rotate"): Permission.SIGNING_KEY_ROTATE,
        ("POST", "/v1/organization/signing_keys/{kid}/revoke"): Permission.SIGNING_KEY_ROTATE,
        ("GET", "/v1/organization/usage/completions"): Permission.USAGE_READ,
        ("GET", "/v1/organization/usage/requests"): Permission.USAGE_READ,
        ("GET", "/v1/organization/users"): Permission.USER_READ,
        ("POST", "/v1/organization/users"): Permission.USER_CREATE,
        ("DELETE", "/v1/organization/users/{user_id}"): Permission.USER_DELETE,
        ("GET", "/v1/organization/users/{user_id}"): Permission.USER_READ,
        ("POST", "/v1/organization/users/{user_id}"): Permission.USER_UPDATE,
    }
)
"""What the caller must be permitted, by method and path. The pipeline holds those of generations
itself, because they come in by other doors too."""
