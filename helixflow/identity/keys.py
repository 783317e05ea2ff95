"""API keys: their form, their checksum, and what is kept of them.

    hx-proj-  43 characters of base 62 (256 random bits)  6 characters of base 62 (CRC-32)

The checksum covers all that stands before it, so a typo is refused without a look-up (CRC-32 finds
every change within 32 neighbouring bits). It is no protection against forgery; the 256 bits are.

The text exists in the client and in the Ingress process that hashes it. Ingress sends its SHA-256
`digest` to Auth; the store holds `mac`, the HMAC-SHA256 of the digest under the pepper.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass
from enum import StrEnum

from helixflow.crypto.mac import hmac_sha256
from helixflow.crypto.secret import Secret
from helixflow.errors import Refusal


class KeyKind(StrEnum):
    """What a key belongs to; the word in its prefix."""

    ADMIN = "adm"
    PROJECT = "proj"
    SERVICE = "svc"


_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_BODY_LENGTH = 43
_CHECKSUM_LENGTH = 6
_HINT_LENGTH = 4
_PREFIXES = {f"hx-{kind.value}-": kind for kind in KeyKind}

KEY_LENGTH_MAX = max(map(len, _PREFIXES)) + _BODY_LENGTH + _CHECKSUM_LENGTH
PEPPER_PURPOSE = "api-key-pepper"
"""The purpose under which a key ring derives the pepper."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just minted.

    Attributes:
        kind: what it belongs to.
        secret: the text, to be shown once.
        digest: the SHA-256 of the text.
        hint: what people may recognize it by.
    """

    kind: KeyKind
    secret: Secret
    digest: bytes
    hint: str


def mint(kind: KeyKind) -> NewKey:
    """A fresh key from the operating system's randomness."""
    stem = f"hx-{kind.value}-" + _encode(secrets.randbits(256), _BODY_LENGTH)
    text = stem + _checksum(stem)
    hint = f"{text[: len(text) - _BODY_LENGTH - _CHECKSUM_LENGTH + _HINT_LENGTH]}..."
    return NewKey(kind, Secret(text), digest(text), hint + text[-_HINT_LENGTH:])


def parse(text: str) -> KeyKind | Refusal:
    """Which kind of key a text is; `invalid_api_key` for what cannot be one. Nothing is asked."""
    prefix = text[: text.find("-", 3) + 1]
    kind = _PREFIXES.get(prefix)
    if kind is None or len(text) != len(prefix) + _BODY_LENGTH + _CHECKSUM_LENGTH:
        return Refusal.INVALID_API_KEY
    stem, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    if not text.isascii() or _checksum(stem) != checksum:
        return Refusal.INVALID_API_KEY
    if any(character not in _VALUES for character in stem[len(prefix) :]):
        return Refusal.INVALID_API_KEY
    return kind


def digest(text: str) -> bytes:
    """The SHA-256 of a credential's text, 32 bytes. Takes any text, well formed or not."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def mac(pepper: bytes, key_digest: bytes) -> bytes:
    """What the store keeps of a key, 32 bytes."""
    return hmac_sha256(pepper, key_digest)


def _checksum(stem: str) -> str:
    return _encode(zlib.crc32(stem.encode()), _CHECKSUM_LENGTH)


def _encode(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, value = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[value])
    return "".join(reversed(digits))
