"""What the audit log needs of its stores.

There are two, because they have different fates: the log is backed up and never loses a record, the
persons' keys are in no backup and are deleted when a person is to be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from helixflow.telemetry.audit.chain import Head, Link
from helixflow.telemetry.audit.record import Kind, Record
from helixflow.telemetry.audit.seals import Seal


@dataclass(frozen=True, slots=True)
class Placed:
    """A record and its place in its chain."""

    record: Record
    link: Link


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the store has it.

    Attributes:
        sequence, hash: its place and the head with it.
        digest: of its content.
        data: its canonical bytes; empty where a checkpoint of number `checkpoint` dropped them.
    """

    sequence: int
    hash: bytes
    digest: bytes
    data: bytes = b""
    checkpoint: int = 0


@dataclass(frozen=True, slots=True)
class ChainState:
    """A chain.

    Attributes:
        begin: the head before the first record that the store still has.
        head: after the last one.
        sealed: the number of the record that the last seal is over; -1 before the first seal.
    """

    chain: str
    begin: Head
    head: Head
    sealed: int


@dataclass(frozen=True, slots=True)
class Held:
    """What a store holds, as an append sees it within its own transaction.

    Attributes:
        heads: of the chains that were named; `chain.beginning` where there is nothing yet.
        known: those of the ids that were named that are there already, as `(chain, id)`.
    """

    heads: Mapping[str, Head]
    known: Collection[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a sink has come with a source."""

    source: str
    last: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """A person that was forgotten: its blind index, and when (epoch milliseconds)."""

    chain: str
    index: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """What an append leaves, all of it or nothing.

    Attributes:
        placed: records, each the next one of its chain.
        seals: over heads that the chains have then.
        erasures: for the ledger.
        dropped: by chain, the records whose contents go, with the number of the checkpoint.
        begins: by chain, the head up to which all records go.
    """

    placed: Sequence[Placed] = ()
    seals: Sequence[Seal] = ()
    erasures: Sequence[Erasure] = ()
    dropped: Mapping[str, tuple[Sequence[int], int]] = field(default_factory=dict)
    begins: Mapping[str, Head] = field(default_factory=dict)


Work: TypeAlias = Callable[[Held], Change]
"""Decides what an append leaves, from what is there. Does not wait."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records are asked for; what is empty or None restricts nothing.

    Attributes:
        since_ms, until_ms: from then on, before then.
        actions, kinds: whole actions, and kinds; a record that is one of either is asked for.
        actors, targets: ids in clear, or blind indexes.
        after, before: the id of a record; only those that are older, or newer.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    actions: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    actors: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    after: str | None = None
    before: str | None = None


class Forked(Exception):
    """Somebody else wrote to the chain meanwhile; the change was not made."""


class AuditStore(Protocol):
    """The log. Raises `Unavailable` (`telemetry_unavailable`) where it is away."""

    async def high_water(self, source: str) -> int:
        """How far the log has come with a source; 0 before its first event."""
        ...

    async def append(
        self,
        chains: Collection[str],
        ids: Collection[tuple[str, str]],
        work: Work,
        mark: Mark | None = None,
    ) -> None:
        """Do `work` and what it decides, in one transaction with no other append beside it.

        Where the store has come as far as `mark` already, nothing happens. Every link must follow
        from the head that the store holds (a chain never forks), and what is dropped must have its
        content: else `Forked` is raised and nothing happens.
        """
        ...

    async def chains(self, after: str, limit: int) -> list[ChainState]:
        """Chains, by their names, those after this one."""
        ...

    async def chain(self, chain: str) -> ChainState | None:
        """One chain."""
        ...

    async def find(self, chain: str, filters: Filters, limit: int) -> list[Stored]:
        """Records with their contents, the newest first.

        Raises `NotFound` for an `after` or `before` that is none of the chain's.
        """
        ...

    async def span(self, chain: str, after: int, limit: int) -> list[Stored]:
        """The records after this number, in their order, dropped ones among them."""
        ...

    async def at(self, chain: str, sequence: int) -> Stored | None:
        """One record by its number."""
        ...

    async def first_since(self, chain: str, at_ms: int) -> int | None:
        """The number of the first one in time of the records that are not older; None for none."""
        ...

    async def seals(self, chain: str, after: int, until: int, limit: int) -> list[Seal]:
        """The seals over heads after this number and up to that, in their order.

        What the records of a chain's beginning were removed under is among them.
        """
        ...

    async def checkpoints(self, chain: str, begin: tuple[int, int], beyond: int) -> list[Seal]:
        """The checkpoints whose first record is from this to that one, by where they begin.

        Only those whose last record is after `beyond`.
        """
        ...

    async def served(
        self, chain: str, kind: Kind, before_ms: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """`(sequence, hash)` of records of a kind that are older and have their contents yet."""
        ...

    async def removable(self, chain: str, before_ms: int, limit: int) -> Head | None:
        """The head up to which all records are older and have lost their contents.

        At most `limit` of them; None for none.
        """
        ...

    async def thin_seals(self, before_ms: int) -> int:
        """Of the seals over heads that are older keep one per chain and day; how many went."""
        ...

    async def erasures(self, after: tuple[str, str], limit: int) -> list[Erasure]:
        """The ledger in the order of chain and index, from after this place on."""
        ...


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person's key, wrapped.

    Attributes:
        tag: a keyed hash of whose it is.
        index: what records have in the person's place.
        wrapped: the key, sealed under the master key, bound to the tag.
        used_at: when a record was sealed under it last, epoch seconds, to the day.
    """

    tag: bytes
    index: str
    wrapped: bytes
    used_at: float


class PersonStore(Protocol):
    """The persons' keys. Raises `Unavailable` (`telemetry_unavailable`) where they are away."""

    async def of(self, tags: Collection[bytes]) -> list[PersonRow]:
        """The keys of these persons, as far as there are any."""
        ...

    async def called(self, indexes: Collection[str]) -> list[PersonRow]:
        """The keys with these blind indexes, as far as there are any."""
        ...

    async def add(self, rows: Sequence[PersonRow]) -> None:
        """Keep keys for good before this returns; of two for one person the first one stays."""
        ...

    async def touch(self, tags: Collection[bytes], used_at: float) -> None:
        """Note that keys were used."""
        ...

    async def erase(self, indexes: Collection[str]) -> int:
        """Delete keys so that nothing of them stays in the database's files; how many it were."""
        ...

    async def purge(self, before: float, limit: int) -> int:
        """Delete keys that were last used before then; how many it were."""
        ...
