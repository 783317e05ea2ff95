"""What is refused is refused after the same work, so that time tells nothing.

Measured in calls, not in seconds: the same functions in the same order.
"""

from __future__ import annotations

import string
import sys
import zlib
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import pytest
from argon2 import PasswordHasher

from helixflow.crypto.passwords import Passwords
from helixflow.crypto.secret import Secret
from helixflow.errors import Unauthenticated
from helixflow.identity.keys import KeyKind, mint, parse
from helixflow.identity.login import FREE_FAILURES, Login
from helixflow.identity.permissions import Role
from helixflow.testing.platform import PASSWORD, Platform, Tenant


async def work_of(doing: Callable[[], Awaitable[Any]]) -> list[str]:
    """The calls of our own functions that something makes, in order."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and "/helixflow/" in code.co_filename:
            calls.append(f"{code.co_filename.rpartition('/')[2]}:{code.co_name}")

    sys.setprofile(note)
    try:
        await doing()
    finally:
        sys.setprofile(None)
    return calls


def near(key: str) -> str:
    """A key that differs from another one in one character, with a right checksum."""
    stem = key[:-7] + ("A" if key[-7] != "A" else "B")
    number, digits = zlib.crc32(stem.encode()), string.digits + string.ascii_letters.swapcase()
    checksum = "".join(digits[number // 62**place % 62] for place in reversed(range(6)))
    assert parse(stem + checksum) is KeyKind.PROJECT
    return stem + checksum


async def test_an_unknown_key_and_one_that_is_nearly_right_take_the_same_way(
    platform: Platform, tenant: Tenant
) -> None:
    async def asked(key: str) -> None:
        answer = await platform.ask("GET", "/v1/models", key)
        assert (answer.status, answer.code) == (401, "invalid_api_key")

    await asked(mint(KeyKind.PROJECT).secret.reveal())  # what is made once is made here
    unknown, similar = mint(KeyKind.PROJECT).secret.reveal(), near(tenant.project_key)
    far = await work_of(lambda: asked(unknown))
    close = await work_of(lambda: asked(similar))
    assert far == close
    assert "mac.py:equal" in far


class Counted(PasswordHasher):
    """argon2 that counts what it verifies."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: Any, password: Any) -> Any:  # noqa: A002 (argon2's own name)
        self.verified += 1
        return super().verify(hash, password)


async def test_no_sign_in_is_refused_without_hashing_a_password_once(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    hasher, store = Counted(), platform.prepared.stores.units
    login = Login(store, Passwords(hasher=hasher), platform.clock)
    actor = platform.owner(tenant)
    gone = await platform.users.create(actor, "gone@one.test", "Gone", Role.VIEWER, "no hash")
    await platform.users.disable(actor, gone.id)
    await platform.users.create(actor, "outside@one.test", "No password", Role.VIEWER)
    locked = tenant.email(Role.VIEWER)
    for _ in range(FREE_FAILURES):
        with pytest.raises(Unauthenticated):
            await login.check(tenant.organization, locked, Secret("wrong"))
    refusals = set()
    for email, password in (
        (tenant.email(Role.OWNER), "wrong"),
        (locked, PASSWORD),
        ("nobody@one.test", PASSWORD),
        ("gone@one.test", PASSWORD),
        ("outside@one.test", PASSWORD),
        (other.email(Role.OWNER), PASSWORD),
        ("' OR '1'='1", PASSWORD),
        ("no address\x00\n", PASSWORD),
        (tenant.email(Role.OWNER), "p" * 100_000),
        (tenant.email(Role.OWNER), ""),
    ):
        before = hasher.verified
        with pytest.raises(Unauthenticated) as refused:
            await login.check(tenant.organization, email, Secret(password))
        assert hasher.verified == before + 1, email
        refusals.add(refused.value.to_wire())
    assert len(refusals) == 1
