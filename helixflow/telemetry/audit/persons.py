"""Persons in the log: sealed under a key of their own, found by a blind index, forgotten with it.

Every person of a chain has a random key. From it come the key that seals what names the person, and
the blind index that records have in its place. The keys are wrapped by the master key and found by
a keyed hash of whose they are, so the store of the keys names nobody. When a key is deleted, what
was sealed under it is unreadable, and the index says of nobody any more whose it was: it cannot be
made again from a name.

Failure behavior: with the store away sealing raises `Unavailable`, and the log's sink is asked
again. A key that is not there (deleted, or lost) opens nothing; the record stays and says so.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from helixflow.clock import Clock
from helixflow.crypto.aes_gcm import Box, new_key
from helixflow.crypto.mac import hmac_sha256
from helixflow.crypto.master_key import KeyRing, SealBroken
from helixflow.telemetry.audit.ports import PersonRow, PersonStore
from helixflow.telemetry.audit.record import Part, Personal

TAG_PURPOSE = "audit-person-tag"
WRAP_PURPOSE = "audit-person"
_DAY_S = 86_400.0
_INDEX_BYTES = 16
_SEAL, _INDEX = b"helixflow audit seal", b"helixflow audit index"

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Personal).decode


@dataclass(frozen=True, slots=True)
class PersonKey:
    """What one person's records are sealed with, and the index that they have."""

    index: str
    box: Box

    @staticmethod
    def of(key: bytes) -> PersonKey:
        """What comes from a person's random key."""
        index = hmac_sha256(key, _INDEX)[:_INDEX_BYTES].hex()
        return PersonKey(index, Box(hmac_sha256(key, _SEAL)))

    def seal(self, personal: Personal, bound_to: bytes) -> Part:
        """The part of a record that names this person; it opens in its own place only."""
        sealed = self.box.seal(_encode(personal), bound_to)
        return Part(index=self.index, sealed=base64.b64encode(sealed).decode())

    def open(self, part: Part, bound_to: bytes) -> Personal:
        """What was sealed. Raises `SealBroken`."""
        try:
            sealed = base64.b64decode(part.sealed, validate=True)
            return _decode(self.box.open(sealed, bound_to))
        except (binascii.Error, msgspec.MsgspecError):
            raise SealBroken("it is no sealed part of a record") from None


class Persons:
    """The persons' keys, made when they are needed first. For one event loop.

    Args:
        cached_max: how many keys are kept in memory.
    """

    def __init__(
        self, store: PersonStore, ring: KeyRing, clock: Clock, cached_max: int = 10_000
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._cached_max = cached_max
        self._tag_key = ring.derive(TAG_PURPOSE)
        self._cached: OrderedDict[bytes, tuple[PersonKey, float]] = OrderedDict()
        self._by_index: dict[str, bytes] = {}
        self._forgettings = 0

    async def keys(self, chain: str, persons: Iterable[str]) -> dict[str, PersonKey]:
        """Each person's key in a chain; those that had none have one, for good, from now on."""
        tags = {person: self._tag(chain, person) for person in persons}
        held = await self._of(tags.values())
        missing = [tag for tag in dict.fromkeys(tags.values()) if tag not in held]
        if missing:
            await self._store.add([self._new(tag) for tag in missing])
            # Read back: another process may have been first, and its key is the one.
            held |= await self._of(missing)
        today = self._today()
        stale = {tag: (key, today) for tag, (key, used_at) in held.items() if used_at < today}
        if stale:
            await self._store.touch(list(stale), today)
            self._keep(stale)
        self._trim()
        return {person: held[tag][0] for person, tag in tags.items()}

    async def find(self, chain: str, person: str) -> PersonKey | None:
        """A person's key, where there is one."""
        tag = self._tag(chain, person)
        held = await self._of([tag])
        self._trim()
        return held[tag][0] if tag in held else None

    async def called(self, indexes: Collection[str]) -> dict[str, PersonKey]:
        """Keys by their blind indexes; those that are not there are not in it."""
        keys = {}
        for index in set(indexes):
            if (tag := self._by_index.get(index)) is not None:
                keys[index] = self._cached[tag][0]
        missing = set(indexes) - keys.keys()
        if missing:
            before = self._forgettings
            rows = await self._store.called(missing)
            keys |= {key.index: key for key, _ in self._unwrapped(rows, before).values()}
            self._trim()
        return keys

    async def forget(self, indexes: Collection[str]) -> int:
        """Delete keys, for good; how many there were."""
        self._drop(indexes)
        count = await self._store.erase(indexes)
        self._drop(indexes)
        return count

    async def purge(self, before: float) -> int:
        """Delete some keys that no record needs any more: last used before (epoch seconds)."""
        return await self._store.purge(before, 1000)

    def _tag(self, chain: str, person: str) -> bytes:
        return hmac_sha256(self._tag_key, f"{chain}\n{person}".encode("utf-8", "replace"))

    def _new(self, tag: bytes) -> PersonRow:
        key = new_key()
        wrapped = self._ring.seal(WRAP_PURPOSE, key, tag)
        return PersonRow(tag, PersonKey.of(key).index, wrapped, self._today())

    async def _of(self, tags: Iterable[bytes]) -> dict[bytes, tuple[PersonKey, float]]:
        """The keys of these tags and when they were used, as far as there are any."""
        wanted = set(tags)
        held = {tag: self._cached[tag] for tag in wanted if tag in self._cached}
        missing = wanted - held.keys()
        if not missing:
            return held
        before = self._forgettings
        return held | self._unwrapped(await self._store.of(missing), before)

    def _unwrapped(
        self, rows: Iterable[PersonRow], forgettings: int
    ) -> dict[bytes, tuple[PersonKey, float]]:
        """What the store said; kept, unless somebody was forgotten while it was asked."""
        told = {}
        for row in rows:
            key = PersonKey.of(self._ring.unseal(WRAP_PURPOSE, row.wrapped, row.tag))
            told[row.tag] = (key, row.used_at)
        if forgettings == self._forgettings:
            self._keep(told)
        return told

    def _keep(self, told: Mapping[bytes, tuple[PersonKey, float]]) -> None:
        self._cached.update(told)
        self._by_index.update({key.index: tag for tag, (key, _) in told.items()})

    def _drop(self, indexes: Iterable[str]) -> None:
        self._forgettings += 1
        for index in indexes:
            tag = self._by_index.pop(index, None)
            if tag is not None:
                del self._cached[tag]

    def _today(self) -> float:
        return self._clock.now() // _DAY_S * _DAY_S

    def _trim(self) -> None:
        while len(self._cached) > self._cached_max:
            _, (key, _) = self._cached.popitem(last=False)
            del self._by_index[key.index]


def place(chain: str, record: str, part: str) -> bytes:
    """What a sealed part is bound to."""
    return f"{chain}\n{record}\n{part}".encode()
