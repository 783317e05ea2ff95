"""The data keys of kept content: made when a period keeps something first, erased for good.

A key is random, wrapped by the master key and found by a keyed hash of its project, so that its
store names nobody. The ledger of what was erased lies with the contents: where keys come back from
a backup, `reconcile` deletes them again.

Failure behavior: with a store away everything raises `Unavailable`. An erasure that fails halfway
is in the ledger already: its keys open nothing from then on, and the next try deletes them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from helixflow.clock import Clock
from helixflow.crypto.aes_gcm import new_key
from helixflow.crypto.mac import hmac_sha256
from helixflow.crypto.master_key import KeyRing
from helixflow.errors import Conflict, Refusal
from helixflow.telemetry.content.ports import ContentKeyStore, ContentStore

TAG_PURPOSE = "content-tag"
WRAP_PURPOSE = "content"
_SESSION = b"helixflow content session\n"
_CACHED_MAX = 4096
_PAGE = 500


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What an Ingress seals with for a while."""

    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"SessionKey({self.id!r}, ***)"


class ContentKeys:
    """For one event loop, and the only one that writes these stores."""

    def __init__(
        self, keys: ContentKeyStore, ledger: ContentStore, ring: KeyRing, clock: Clock
    ) -> None:
        self._keys = keys
        self._ledger = ledger
        self._ring = ring
        self._clock = clock
        self._tag_key = ring.derive(TAG_PURPOSE)
        self._cached: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self._changing = asyncio.Lock()

    async def session(self, organization: str, project: str, period: int) -> SessionKey:
        """A fresh session. Raises `Conflict` where the period was given up."""
        async with self._changing:
            tag = self._tag(organization, project)
            if period <= await self._ledger.erased(tag):
                raise Conflict(Refusal.CONFLICT, "What this period kept was erased.")
            key = await self._key(tag, period)
            if key is None:
                made = self._ring.seal(WRAP_PURPOSE, new_key(), _bound(tag, period))
                await self._keys.add(tag, period, made, self._clock.now())
                key = await self._key(tag, period)
        if key is None:
            raise Conflict(Refusal.CONFLICT, "The key is gone.")
        session = secrets.token_hex(16)
        return SessionKey(session, _derived(key, session))

    async def opener(
        self, organization: str, project: str, period: int, session: str
    ) -> bytes | None:
        """The key of a session that was; None where it was erased, or never was."""
        async with self._changing:
            key = await self._key(self._tag(organization, project), period)
        return None if key is None else _derived(key, session)

    async def alive(self, organization: str, project: str, period: int) -> bool:
        """Whether there is a key for what a period keeps."""
        async with self._changing:
            return await self._key(self._tag(organization, project), period) is not None

    async def erase(self, organization: str, project: str, period: int) -> None:
        """Delete the keys of all periods up to this one; there will never be one again."""
        async with self._changing:
            tag = self._tag(organization, project)
            await self._ledger.note_erased(tag, period)
            await self._forget(tag, period)

    async def reconcile(self) -> int:
        """Delete the keys that the ledger says are gone; how many were there yet."""
        count, after = 0, b""
        while page := await self._ledger.erasures(after, _PAGE):
            async with self._changing:
                for tag, period in page:
                    count += await self._forget(tag, period)
            after = page[-1][0]
        return count

    async def _forget(self, tag: bytes, period: int) -> int:
        for name in [name for name in self._cached if name[0] == tag and name[1] <= period]:
            del self._cached[name]
        return await self._keys.erase(tag, period)

    async def _key(self, tag: bytes, period: int) -> bytes | None:
        name = (tag, period)
        if name in self._cached:
            self._cached.move_to_end(name)
            return self._cached[name]
        wrapped = await self._keys.get(tag, period)
        if wrapped is None or period <= await self._ledger.erased(tag):
            return None
        key = self._cached[name] = self._ring.unseal(WRAP_PURPOSE, wrapped, _bound(tag, period))
        while len(self._cached) > _CACHED_MAX:
            self._cached.popitem(last=False)
        return key

    def _tag(self, organization: str, project: str) -> bytes:
        return hmac_sha256(self._tag_key, f"{organization}\n{project}".encode("utf-8", "replace"))


def _bound(tag: bytes, period: int) -> bytes:
    return tag + period.to_bytes(8, "big")


def _derived(key: bytes, session: str) -> bytes:
    return hmac_sha256(key, _SESSION + session.encode("utf-8", "replace"))
