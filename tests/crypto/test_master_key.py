from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.crypto.mac import equal, hmac_sha256
from helixflow.crypto.master_key import MasterKey, SealBroken

KEY = MasterKey(bytes(range(32)))


def test_derived_keys_are_stable_and_differ_by_purpose_and_master() -> None:
    assert KEY.derive("a") == MasterKey(bytes(range(32))).derive("a")
    keys = {KEY.derive("a"), KEY.derive("b"), MasterKey(b"x" * 32).derive("a"), KEY.check_value()}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_what_is_sealed_is_opened_where_it_belongs(plain: bytes, place: bytes) -> None:
    assert KEY.unseal("p", KEY.seal("p", plain, place), place) == plain


@given(st.binary(max_size=40), st.integers(min_value=0), st.integers(1, 255))
def test_any_changed_byte_breaks_the_seal(plain: bytes, place: int, change: int) -> None:
    sealed = bytearray(KEY.seal("p", plain, b""))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(SealBroken):
        KEY.unseal("p", bytes(sealed), b"")


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_not_a_sealed_value(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        KEY.unseal("p", sealed, b"")


def test_a_seal_holds_for_its_purpose_place_and_master_alone() -> None:
    sealed = KEY.seal("p", b"plain", b"row 1")
    for ring, purpose, place in (
        (KEY, "q", b"row 1"),
        (KEY, "p", b"row 2"),
        (MasterKey(b"x" * 32), "p", b"row 1"),
    ):
        with pytest.raises(SealBroken):
            ring.unseal(purpose, sealed, place)


def test_sealing_twice_gives_different_bytes() -> None:
    assert KEY.seal("p", b"plain", b"") != KEY.seal("p", b"plain", b"")


def test_a_master_key_has_32_bytes_and_is_not_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        MasterKey(b"short")
    assert bytes(range(32)).hex() not in repr(KEY)
    assert repr(KEY) == "MasterKey(***)"


def test_hmac_sha256_is_that_of_rfc_4231() -> None:
    mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?")
    assert mac.hex().startswith("5bdcc146bf60754e6a042426089575c7")
    assert equal(mac, bytes(mac))
    assert not equal(mac, mac[:-1])
