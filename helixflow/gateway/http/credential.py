"""Who sends a request: the credential in its headers (never logged) and the client's address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of `Authorization: Bearer TOKEN` (RFC 6750); None where there is none.

    The scheme's case does not matter (RFC 9110, 11.1). Names must be in lower case, as ASGI has
    them. Of several such headers the first one counts.
    """
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() != b"bearer ":
                return None
            return value[7:].strip().decode("latin-1") or None
    return None


def source_of(scope: Mapping[str, Any]) -> str:
    """The client's address, as the server or the shield knows it; empty where neither does."""
    client = scope.get("client")
    return str(client[0]) if client else ""
