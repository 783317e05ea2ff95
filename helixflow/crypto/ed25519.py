"""Ed25519 signatures (RFC 8032): who holds the public key can check, and cannot sign.

Keys are raw: 32 bytes of seed, 32 bytes of public key, 64 bytes of signature.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
_ID_DIGITS = 16


class SigningSeed:
    """A private key that is held in memory. The same seed always gives the same key.

    Args:
        seed: 32 random bytes. Raises `ValueError` for any other number of them.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningSeed({key_id(self.public)}, ***)"

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(message)


class PublicKey:
    """Checks signatures. Raises `ValueError` for what cannot be a key (RFC 8032, 5.1.3)."""

    __slots__ = ("_key", "raw")

    def __init__(self, raw: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(raw)
        self.raw = raw

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the holder of the private key signed exactly this."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def key_id(public: bytes) -> str:
    """What a public key is called: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:_ID_DIGITS]
