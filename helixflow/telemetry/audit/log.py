"""The audit log: every way in which a chain grows, is sealed, and loses what has served its time.

Whatever changes a chain goes through `AuditStore.append`, one after the other.

Failure behavior: with a store away everything raises `Unavailable` and leaves nothing behind, but
for `erase`: once the ledger has a person, `reconcile` deletes its key, after a crash too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from helixflow.clock import Clock
from helixflow.crypto.ed25519 import SigningSeed
from helixflow.errors import NotFound, Refusal
from helixflow.telemetry.audit import canonical
from helixflow.telemetry.audit.chain import Head, link
from helixflow.telemetry.audit.persons import PersonKey, Persons
from helixflow.telemetry.audit.ports import (
    AuditStore,
    ChainState,
    Change,
    Erasure,
    Filters,
    Held,
    Mark,
    Placed,
)
from helixflow.telemetry.audit.record import (
    PLATFORM,
    SYSTEM,
    Entry,
    Kind,
    Outcome,
    Record,
    Subject,
    Value,
)
from helixflow.telemetry.audit.sealing import sealed_record
from helixflow.telemetry.audit.seals import Seal, Statement, StatementKind, seal, seal_head

CONTENTS_MAX = 1000
"""How many contents one checkpoint drops at most."""

_CHAINS_PAGE = 100
_ERASURES_PAGE = 500
_NEWEST = 20


def placed(drafts: Iterable[Record], held: Held) -> list[Placed]:
    """The records that are not there yet, each linked to the head before it."""
    heads, known = dict(held.heads), set(held.known)
    found = []
    for draft in drafts:
        if (draft.chain, draft.id) in known:
            continue
        known.add((draft.chain, draft.id))
        head = heads[draft.chain]
        record = msgspec.structs.replace(draft, sequence=head.sequence + 1)
        linked = link(head, canonical.encode(record))
        heads[draft.chain] = linked.head
        found.append(Placed(record, linked))
    return found


class AuditLog:
    """Writes the log. For one event loop."""

    def __init__(
        self, store: AuditStore, persons: Persons, seed: SigningSeed, clock: Clock
    ) -> None:
        self._store = store
        self._persons = persons
        self._seed = seed
        self._clock = clock
        self._writing = asyncio.Lock()

    @property
    def public(self) -> bytes:
        """The raw public key of the seals."""
        return self._seed.public

    async def record(self, entries: Sequence[Entry], mark: Mark | None = None) -> None:
        """Chain what is not chained yet, and remember `mark` with it."""
        async with self._writing:
            drafts = await self._drafts(entries)
            await self._store.append(
                {draft.chain for draft in drafts},
                {(draft.chain, draft.id) for draft in drafts},
                lambda held: Change(placed(drafts, held)),
                mark,
            )

    async def seal(self, chain: str) -> None:
        """Sign the head of a chain, unless its last record is sealed already."""
        state = await self._store.chain(chain)
        if state is None or state.sealed >= state.head.sequence:
            return

        def work(held: Held) -> Change:
            return Change(seals=[self.signed(chain, held.heads[chain])])

        async with self._writing:
            await self._store.append([chain], [], work)

    async def seal_all(self) -> int:
        """Sign the heads of all chains that grew since their last seal; how many they were."""
        count, after = 0, ""
        while states := await self._store.chains(after, _CHAINS_PAGE):
            for state in states:
                if state.sealed < state.head.sequence:
                    await self.seal(state.chain)
                    count += 1
            after = states[-1].chain
        return count

    def signed(self, chain: str, head: Head) -> Seal:
        """A seal over a head that a chain has or had."""
        return seal_head(self._seed, chain, head, self._now_ms())

    async def erase(self, chain: str, person: str, by: Entry) -> Erasure:
        """Forget a person: its key goes, what was sealed under it is unreadable from then on.

        `by` is the record of the erasure, without its time and its target. Raises
        `NotFound` where the log knows nobody of that name.
        """
        async with self._writing:
            key = await self._persons.find(chain, person)
            if key is None:
                raise NotFound(
                    Refusal.RESOURCE_NOT_FOUND, "The audit log knows nobody of this name."
                )
            erasure = Erasure(chain, key.index, self._now_ms())
            (draft,) = await self._drafts([replace(by, at_ms=erasure.at_ms)])
            record = msgspec.structs.replace(
                draft, target=msgspec.structs.replace(draft.target, id=key.index)
            )

            def work(held: Held) -> Change:
                return Change(placed([record], held), erasures=[erasure])

            await self._store.append([chain], [], work)
            await self._persons.forget([key.index])
            return erasure

    async def reconcile(self) -> int:
        """Delete the keys of all whom the ledger names; how many were there yet.

        After a crash in `erase`, and after the persons' keys came back from somewhere.
        """
        count, after = 0, ("", "")
        while page := await self._store.erasures(after, _ERASURES_PAGE):
            count += await self._persons.forget([erasure.index for erasure in page])
            after = (page[-1].chain, page[-1].index)
        return count

    async def has_its_keys(self) -> bool:
        """Whether anybody of those whom the newest records name can still be read.

        False says that the store of the keys was lost, or that another one is configured: a few
        who were forgotten do not make all the others unreadable.
        """
        indexes: set[str] = set()
        for state in await self._store.chains("", _CHAINS_PAGE):
            for stored in await self._store.find(state.chain, Filters(), _NEWEST):
                record = canonical.decode(stored.data)
                indexes |= {record.actor.index, record.target.index} - {""}
            if len(indexes) > _NEWEST:
                break
        forgotten = {one.index for one in await self._store.erasures(("", ""), _ERASURES_PAGE)}
        named = indexes - forgotten
        return not named or bool(await self._persons.called(named))

    async def drop_served(self, chain: str, kind: Kind, before_ms: int) -> int:
        """Drop contents of a kind that are older, under a checkpoint; how many they were."""
        served = await self._store.served(chain, kind, before_ms, CONTENTS_MAX)
        if not served:
            return 0
        sequences = [sequence for sequence, _ in served]
        last, hash_ = served[-1]
        told = {"count": len(served), "first": sequences[0], "kind": kind.value, "last": last}
        (draft,) = await self._drafts([self._own(chain, "audit:prune", told)])

        def work(held: Held) -> Change:
            records = placed([draft], held)
            number = records[0].record.sequence
            statement = Statement(
                self._now_ms(), chain, count=len(served), first=sequences[0], head=hash_.hex(),
                kind=StatementKind.CHECKPOINT, number=number, of=kind.value, sequence=last,
            )  # fmt: skip
            return Change(
                records, [seal(self._seed, statement)], dropped={chain: (sequences, number)}
            )

        async with self._writing:
            await self._store.append([chain], [], work)
        return len(served)

    async def remove_served(self, state: ChainState, before_ms: int) -> int:
        """Remove the oldest records of a chain, which have no contents any more; how many."""
        chain = state.chain
        head = await self._store.removable(chain, before_ms, CONTENTS_MAX)
        if head is None:
            return 0
        told = {"first": state.begin.sequence + 1, "last": head.sequence}
        (draft,) = await self._drafts([self._own(chain, "audit:truncate", told)])

        def work(held: Held) -> Change:
            statement = Statement(
                self._now_ms(), chain, head=head.hash.hex(), kind=StatementKind.BEGIN,
                sequence=head.sequence,
            )  # fmt: skip
            seals = [seal(self._seed, statement)]
            return Change(placed([draft], held), seals, begins={chain: head})

        async with self._writing:
            await self._store.append([chain], [], work)
        return head.sequence - state.begin.sequence

    async def _drafts(self, entries: Sequence[Entry]) -> list[Record]:
        people: dict[str, set[str]] = defaultdict(set)
        for entry in entries:
            people[entry.chain] |= {entry.person, entry.target_person} - {""}
        keys: dict[str, dict[str, PersonKey]] = {
            chain: await self._persons.keys(chain, named) if named else {}
            for chain, named in people.items()
        }
        return [sealed_record(entry, keys[entry.chain]) for entry in entries]

    def _own(self, chain: str, name: str, after: Mapping[str, Value]) -> Entry:
        """What the log itself did."""
        subject = Subject.PLATFORM if chain == PLATFORM else Subject.ORGANIZATION
        return Entry(
            id=new_id(),
            chain=chain,
            kind=Kind.ADMINISTRATION,
            action=f"{subject}:{name}",
            outcome=Outcome.DONE,
            at_ms=self._now_ms(),
            actor=SYSTEM,
            after=after,
        )

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)


def new_id() -> str:
    """The id of a record of what happens in the log itself."""
    return "audit_" + secrets.token_hex(16)
