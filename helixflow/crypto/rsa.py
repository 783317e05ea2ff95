"""RSA keys for RS256."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_BITS = 2048
_EXPONENT = 65_537


def new_private_key() -> bytes:
    """A fresh key as unencrypted PKCS#8 PEM; takes some 100 ms."""
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_private_key(private_pem: bytes) -> rsa.RSAPrivateKey:
    """The key, checked; takes some 10 ms. Raises `TypeError` for another kind of key."""
    key = load_pem_private_key(private_pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def public_jwk(private_pem: bytes) -> dict[str, str]:
    """The public half as a JWK (RFC 7518, 6.3.1)."""
    numbers = load_private_key(private_pem).public_key().public_numbers()
    return {"kty": "RSA", "n": _base64url(numbers.n), "e": _base64url(numbers.e)}


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
