"""The keys that sign access tokens: made ahead, published with overlap, sealed at rest.

A fresh key is published `signing_ahead_s` before it signs, so that whoever keeps the published set
knows it by then, and stays published until the last token that it signed has expired.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing
from helixflow.crypto.rsa import load_private_key, new_private_key, public_jwk
from helixflow.errors import NotFound, Refusal
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.ports import Store, Unit
from helixflow.identity.records import SigningKey
from helixflow.settings import TokenSettings

_PURPOSE = "signing-key"
ALGORITHM = "RS256"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs now: its `kid` and its private key (loaded, or PEM)."""

    kid: str
    key: Any

    def __repr__(self) -> str:
        return f"Signer(kid={self.kid!r})"


def signing(keys: Iterable[SigningKey], now: float) -> SigningKey | None:
    """The key that signs at `now`: the youngest of those that may."""
    able = [
        key for key in keys if key.revoked_at is None and key.signs_from <= now < key.signs_until
    ]
    return max(able, key=lambda key: (key.signs_from, key.id), default=None)


def published(keys: Iterable[SigningKey], now: float) -> list[SigningKey]:
    """The keys whose tokens are accepted at `now`."""
    return [key for key in keys if key.revoked_at is None and now < key.verifies_until]


def due(keys: Iterable[SigningKey], now: float, settings: TokenSettings) -> float | None:
    """When a fresh key is to begin signing, if one must be made at `now`; None if none must."""
    held = [key for key in keys if key.revoked_at is None and key.signs_until > now]
    if signing(held, now) is None:
        return now
    last = max(key.signs_until for key in held)
    return last - settings.signing_ahead_s if last - now <= 2 * settings.signing_ahead_s else None


class SigningKeys:
    """The signing keys of the platform."""

    def __init__(self, store: Store, ring: KeyRing, settings: TokenSettings, clock: Clock) -> None:
        self._store = store
        self._ring = ring
        self._settings = settings
        self._clock = clock
        self._loaded: Signer | None = None

    async def ensure(self, actor: Actor) -> None:
        """Make a key where one is due; called at start and every now and then."""
        keys = await self._store.read(_all)
        if due(keys, self._clock.now(), self._settings) is None:
            return
        private = await asyncio.to_thread(new_private_key)

        async def work(unit: Unit) -> None:
            # Another process may have been first.
            begin = due(await _all(unit), self._clock.now(), self._settings)
            if begin is not None:
                await self._add(unit, actor, private, begin)

        await self._store.write(work)

    async def rotate(self, actor: Actor) -> SigningKey:
        """Let a fresh key sign from now on; what was signed before stays valid until it expires."""
        private = await asyncio.to_thread(new_private_key)
        return await self._store.write(
            lambda unit: self._add(unit, actor, private, self._clock.now())
        )

    async def revoke(self, actor: Actor, kid: str) -> None:
        """Refuse everything that a key signed, now. Twice is harmless."""

        async def work(unit: Unit) -> None:
            held = await unit.signing_keys.get(None, kid)
            if held is None:
                raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is no such signing key.")
            if held.revoked_at is None:
                await unit.signing_keys.put(replace(held, revoked_at=self._clock.now()))
                self._record(unit, EventName.SIGNING_KEY_REVOKE, actor, kid)

        await self._store.write(work)

    async def held(self) -> list[SigningKey]:
        """Every key, oldest first, ended ones included."""
        return await self._store.read(_all)

    async def since(self) -> float | None:
        """Since when the key signs that signs now, epoch seconds; None where there is none."""
        key = signing(await self._store.read(_all), self._clock.now())
        return None if key is None else key.signs_from

    async def signer(self) -> Signer:
        """The key that signs now. Raises `NotFound` before `ensure`."""
        key = signing(await self._store.read(_all), self._clock.now())
        if key is None:
            raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is no signing key.")
        if self._loaded is None or self._loaded.kid != key.id:
            private = self._ring.unseal(_PURPOSE, key.private, key.id.encode())
            self._loaded = Signer(key.id, await asyncio.to_thread(load_private_key, private))
        return self._loaded

    async def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The published set (RFC 7517)."""
        keys = published(await self._store.read(_all), self._clock.now())
        return {"keys": [json.loads(key.public) for key in keys]}

    async def _add(self, unit: Unit, actor: Actor, private: bytes, begin: float) -> SigningKey:
        kid, settings = secrets.token_hex(12), self._settings
        end = begin + settings.signing_key_s
        public = public_jwk(private) | {"kid": kid, "use": "sig", "alg": ALGORITHM}
        key = SigningKey(
            id=kid,
            public=json.dumps(public, sort_keys=True),
            private=self._ring.seal(_PURPOSE, private, kid.encode()),
            created_at=self._clock.now(),
            signs_from=begin,
            signs_until=end,
            verifies_until=end + settings.access_s + settings.leeway_s,
        )
        await unit.signing_keys.add(key)
        self._record(unit, EventName.SIGNING_KEY_CREATE, actor, kid)
        return key

    def _record(self, unit: Unit, name: EventName, actor: Actor, kid: str) -> None:
        unit.record(Event(name, actor.organization, None, actor.id, kid, self._clock.now()))


async def _all(unit: Unit) -> list[SigningKey]:
    return await unit.signing_keys.where(None)
