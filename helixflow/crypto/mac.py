"""Keyed hashes and comparison in constant time."""

from __future__ import annotations

import hmac


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104), 32 bytes."""
    return hmac.digest(key, message, "sha256")


def equal(left: bytes, right: bytes) -> bool:
    """Whether two values are the same, in a time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)
