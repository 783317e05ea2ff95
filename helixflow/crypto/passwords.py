"""Passwords of local users: argon2id (RFC 9106, the profile for little memory).

Hashing costs tens of milliseconds and 64 MiB on purpose, so it runs in threads, and only so many
at once: a flood of sign-ins waits here instead of taking the machine.
"""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from helixflow.crypto.secret import Secret

PASSWORD_LENGTH_MAX = 1024
PASSWORD_LENGTH_MIN = 12


class Passwords:
    """Hashes and checks passwords. For one event loop.

    Args:
        at_once: hashes that may run at the same time, 64 MiB each.
        hasher: argon2 with other costs, for tests.
    """

    def __init__(self, at_once: int = 2, hasher: PasswordHasher | None = None) -> None:
        self._gate = asyncio.Semaphore(at_once)
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._nobody: str | None = None

    async def hash(self, password: Secret) -> str:
        """The argon2id hash with its parameters and salt, as text."""
        async with self._gate:
            return await asyncio.to_thread(self._hasher.hash, password.reveal())

    async def verify(self, hashed: str | None, password: Secret) -> bool:
        """Whether the password is the one; None (no such user) takes as long and is False."""
        if hashed is None:
            if self._nobody is None:
                self._nobody = await self.hash(Secret(secrets.token_urlsafe(16)))
            hashed, known = self._nobody, False
        else:
            known = True
        async with self._gate:
            return await asyncio.to_thread(self._matches, hashed, password) and known

    def _matches(self, hashed: str, password: Secret) -> bool:
        try:
            return self._hasher.verify(hashed, password.reveal())
        except (VerificationError, InvalidHashError):
            return False
