"""Signing in with a password: for local users, with a lock-out that grows.

Failure behavior: an unknown user, a wrong password and a locked user get the same refusal after the
same work. The lock is kept with the user, so it holds across processes and restarts.
"""

from __future__ import annotations

from dataclasses import replace

from helixflow.clock import Clock
from helixflow.crypto.passwords import PASSWORD_LENGTH_MAX, Passwords
from helixflow.crypto.secret import Secret
from helixflow.errors import Refusal, Unauthenticated
from helixflow.identity.events import Event, EventName, changes
from helixflow.identity.ports import Store, Unit
from helixflow.identity.records import User
from helixflow.ids import OrganizationId

FREE_FAILURES = 5
_LOCK_S = 1.0
_LOCK_S_MAX = 900.0
_REFUSED = "The address or the password is wrong, or too many attempts were made."


def lock_s(failures: int) -> float:
    """How long a user is locked after so many wrong passwords in a row, in seconds."""
    if failures < FREE_FAILURES:
        return 0.0
    return min(_LOCK_S_MAX, _LOCK_S * 2.0 ** min(failures - FREE_FAILURES, 30))


def failed(user: User, now: float) -> User:
    """The user after one more wrong password."""
    failures = user.failures + 1
    locked = lock_s(failures)
    return replace(user, failures=failures, locked_until=now + locked if locked else None)


class Login:
    """Checks passwords."""

    def __init__(self, store: Store, passwords: Passwords, clock: Clock) -> None:
        self._store = store
        self._passwords = passwords
        self._clock = clock

    async def check(self, organization: OrganizationId, email: str, password: Secret) -> User:
        """The user with this address and password. Raises `Unauthenticated`."""
        email = email.strip().lower()
        user = await self._store.read(lambda unit: _by_email(unit, organization, email))
        hashed = None if user is None or self._is_shut(user) else user.password
        if len(password.reveal()) > PASSWORD_LENGTH_MAX:
            hashed, password = None, Secret("")
        right = await self._passwords.verify(hashed, password)
        if user is None or self._is_shut(user):
            raise Unauthenticated(Refusal.INVALID_API_KEY, _REFUSED)
        seen = user
        noted = await self._store.write(lambda unit: self._note(unit, seen, right=right))
        if not right or noted is None:
            raise Unauthenticated(Refusal.INVALID_API_KEY, _REFUSED)
        return noted

    def _is_shut(self, user: User) -> bool:
        locked = user.locked_until is not None and user.locked_until > self._clock.now()
        return locked or user.disabled_at is not None

    async def _note(self, unit: Unit, seen: User, *, right: bool) -> User | None:
        """Write the attempt down, on the user as it is by now."""
        user = await unit.users.get(seen.organization, seen.id)
        if user is None or self._is_shut(user) or user.password != seen.password:
            return None
        if right and user.failures == 0:
            return user
        now = self._clock.now()
        noted = replace(user, failures=0, locked_until=None) if right else failed(user, now)
        await unit.users.put(noted)
        if noted.failures == FREE_FAILURES:
            unit.record(_locked(user, noted, now))
        return noted


def _locked(before: User, after: User, now: float) -> Event:
    told = changes(_lock_of(before), _lock_of(after))
    return Event(EventName.USER_LOCK, after.organization, None, after.id, after.id, now, told)


def _lock_of(user: User) -> dict[str, object]:
    """What a lock changes of a user, in whole seconds."""
    until = user.locked_until
    return {"failures": user.failures, "locked_until": None if until is None else int(until)}


async def _by_email(unit: Unit, organization: OrganizationId, email: str) -> User | None:
    if not email.isascii() or not email.isprintable():
        return None
    held = await unit.users.where(organization, email=email)
    return held[0] if held else None
