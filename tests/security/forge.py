"""Access tokens by hand, byte for byte: what no honest library would make."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from helixflow.identity.permissions import Role
from helixflow.testing.platform import Platform, Tenant


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A token's header and claims."""
    header, claims, _ = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(claims))


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """What is signed of a token."""
    return ".".join(b64(json.dumps(part).encode()) for part in (header, claims))


def with_hmac(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """A token whose signature is an HMAC under `key`."""
    text = unsigned({**header, "alg": "HS256"}, claims)
    return f"{text}.{b64(hmac.digest(key, text.encode(), hashlib.sha256))}"


async def honest(platform: Platform, tenant: Tenant, role: Role = Role.OWNER) -> str:
    """A token that is accepted."""
    token = await platform.token(tenant, role)
    answer = await platform.ask("GET", "/v1/models", token)
    assert answer.status == 200, answer.body
    return token
