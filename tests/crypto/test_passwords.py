from __future__ import annotations

from argon2 import PasswordHasher

from helixflow.crypto.passwords import Passwords
from helixflow.crypto.secret import Secret

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_a_password_matches_its_own_hash_alone() -> None:
    passwords = Passwords(hasher=CHEAP)
    hashed = await passwords.hash(Secret("right"))
    assert hashed.startswith("$argon2id$")
    assert hashed != await passwords.hash(Secret("right"))
    assert await passwords.verify(hashed, Secret("right"))
    assert not await passwords.verify(hashed, Secret("wrong"))


async def test_nobody_has_no_password() -> None:
    passwords = Passwords(hasher=CHEAP)
    for _ in range(2):
        assert not await passwords.verify(None, Secret("right"))


async def test_what_is_no_hash_matches_nothing() -> None:
    for text in ("", "plain", "$argon2id$broken"):
        assert not await Passwords(hasher=CHEAP).verify(text, Secret("right"))


async def test_the_default_costs_are_those_of_rfc_9106() -> None:
    hashed = await Passwords().hash(Secret("right"))
    assert "m=65536,t=3,p=4" in hashed
