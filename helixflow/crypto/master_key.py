"""The port to the master key, and the master key that lives in this process.

Everything that is secret at rest hangs on one key of 256 bits: peppers and sealing keys are derived
from it by HKDF-SHA256 (RFC 5869), each for a purpose of its own, and values are sealed with
AES-256-GCM. `KeyRing` is the port; a key service can stand behind it as well.

Failure behavior: a sealed value that was changed, cut, sealed under another key, or moved to
another place (`bound_to`) raises `SealBroken`; nothing is ever returned unauthenticated.
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from helixflow.errors import HelixFlowError

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"
_CHECK = "master-key-check"


class SealBroken(HelixFlowError):
    """A sealed value is not what was sealed here."""


class KeyRing(Protocol):
    """What the platform asks of its master key."""

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose; the same purpose always gives the same key."""
        ...

    def seal(self, purpose: str, plain: bytes, bound_to: bytes) -> bytes:
        """Encrypt; `bound_to` (a row's id, say) must be given again to open it."""
        ...

    def unseal(self, purpose: str, sealed: bytes, bound_to: bytes) -> bytes:
        """Decrypt what `seal` made. Raises `SealBroken`."""
        ...

    def check_value(self) -> bytes:
        """32 bytes that tell this master key from another one and give nothing away about it."""
        ...


class MasterKey:
    """A `KeyRing` over a key that is held in memory."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes")
        self._key = key

    def __repr__(self) -> str:
        return "MasterKey(***)"

    def derive(self, purpose: str) -> bytes:
        """See `KeyRing.derive`."""
        info = b"helixflow/" + purpose.encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(self._key)

    def seal(self, purpose: str, plain: bytes, bound_to: bytes) -> bytes:
        """See `KeyRing.seal`. Version (1 byte), nonce (12), ciphertext with its tag (16 more)."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._sealing_key(purpose)).encrypt(nonce, plain, _VERSION + bound_to)
        return _VERSION + nonce + sealed

    def unseal(self, purpose: str, sealed: bytes, bound_to: bytes) -> bytes:
        """See `KeyRing.unseal`."""
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _VERSION or len(nonce) < _NONCE_BYTES:
            raise SealBroken("not a sealed value")
        try:
            return AESGCM(self._sealing_key(purpose)).decrypt(nonce, body, _VERSION + bound_to)
        except InvalidTag:
            raise SealBroken("the sealed value does not open under this master key") from None

    def check_value(self) -> bytes:
        """See `KeyRing.check_value`."""
        return self.derive(_CHECK)

    def _sealing_key(self, purpose: str) -> bytes:
        return self.derive("seal/" + purpose)
