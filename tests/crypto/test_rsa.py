from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from helixflow.crypto.rsa import new_private_key, public_jwk


def test_a_public_jwk_holds_nothing_private() -> None:
    private = new_private_key()
    jwk = public_jwk(private)
    assert set(jwk) == {"kty", "n", "e"}
    assert jwk["e"] == "AQAB"
    assert len(jwk["n"]) == 342
    assert b"PRIVATE KEY" in private


def test_another_kind_of_key_is_refused() -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(TypeError, match="RSA"):
        public_jwk(pem)
