"""AES-256-GCM under a key of one's own (the master key's seals are in `master_key.py`).

Failure behavior: what was changed, cut, sealed under another key or for another place raises
`SealBroken`.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from helixflow.crypto.master_key import KEY_BYTES, SealBroken

_NONCE_BYTES = 12


def new_key() -> bytes:
    """A random key of 32 bytes."""
    return os.urandom(KEY_BYTES)


class Box:
    """Seals and opens under one key, which is good for 2**32 seals (random nonces)."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Box(***)"

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        """Nonce (12 bytes), ciphertext, tag (16); `bound_to` must be given again to open it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed. Raises `SealBroken`."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        if len(nonce) < _NONCE_BYTES:
            raise SealBroken("not a sealed value")
        try:
            return self._cipher.decrypt(nonce, body, bound_to)
        except InvalidTag:
            raise SealBroken("the sealed value does not open under this key") from None
