"""The audit log's stores in memory, and what tests of the log share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helixflow.crypto.master_key import MasterKey
from helixflow.errors import NotFound, Refusal, Unavailable
from helixflow.settings import AuditSettings
from helixflow.signals import Event, EventKind, Fact
from helixflow.telemetry.audit import canonical
from helixflow.telemetry.audit.build import build_audit
from helixflow.telemetry.audit.chain import Head, beginning, follow
from helixflow.telemetry.audit.ports import (
    AuditStore,
    ChainState,
    Change,
    Erasure,
    Filters,
    Forked,
    Held,
    Mark,
    PersonRow,
    PersonStore,
    Stored,
    Work,
)
from helixflow.telemetry.audit.record import Kind, Record
from helixflow.telemetry.audit.seals import Seal, StatementKind
from helixflow.telemetry.station import own_tally
from helixflow.testing.clock import ManualClock

ORGANIZATION = "org_one"
_DAY_MS = 86_400_000


class _Away:
    """`away` makes every call fail."""

    away = False

    def _ask(self) -> None:
        if self.away:
            raise Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "The store is away.")


@dataclass
class _Chain:
    begin: Head
    records: list[Stored] = field(default_factory=list)
    seals: list[Seal] = field(default_factory=list)

    @property
    def head(self) -> Head:
        return (
            Head(self.records[-1].sequence, self.records[-1].hash) if self.records else self.begin
        )


class MemoryAuditStore(_Away):
    """`telemetry.audit.ports.AuditStore` in memory.

    Attributes:
        appends: how many appends there were.
    """

    def __init__(self) -> None:
        self._chains: dict[str, _Chain] = {}
        self._marks: dict[str, int] = {}
        self._erasures: dict[tuple[str, str], Erasure] = {}
        self._read: dict[bytes, Record] = {}
        self.appends = 0

    async def high_water(self, source: str) -> int:
        """See `AuditStore.high_water`."""
        self._ask()
        return self._marks.get(source, 0)

    async def append(
        self,
        chains: Collection[str],
        ids: Collection[tuple[str, str]],
        work: Work,
        mark: Mark | None = None,
    ) -> None:
        """See `AuditStore.append`."""
        self._ask()
        if mark is not None and self._marks.get(mark.source, 0) >= mark.last:
            return
        heads = {
            chain: held.head if (held := self._chains.get(chain)) else beginning(chain)
            for chain in chains
        }
        there = {
            (chain, self._record(stored).id) for chain in chains for stored in self._stored(chain)
        }
        change = work(Held(heads, there & set(ids)))
        self._check(heads, change)
        self._apply(change)
        if mark is not None:
            self._marks[mark.source] = mark.last
        self.appends += 1

    async def chains(self, after: str, limit: int) -> list[ChainState]:
        """See `AuditStore.chains`."""
        self._ask()
        names = sorted(name for name in self._chains if name > after)[:limit]
        return [self._state(name) for name in names]

    async def chain(self, chain: str) -> ChainState | None:
        """See `AuditStore.chain`."""
        self._ask()
        return self._state(chain) if chain in self._chains else None

    async def find(self, chain: str, filters: Filters, limit: int) -> list[Stored]:
        """See `AuditStore.find`."""
        self._ask()
        whole = self._stored(chain)
        low = self._place(whole, filters.before, "before")
        high = self._place(whole, filters.after, "after")
        found = [
            stored
            for stored in whole
            if stored.data
            and (low is None or stored.sequence > low)
            and (high is None or stored.sequence < high)
            and _matches(self._record(stored), filters)
        ]
        chosen = found[:limit] if low is not None else found[-limit:]
        return chosen[::-1]

    async def span(self, chain: str, after: int, limit: int) -> list[Stored]:
        """See `AuditStore.span`."""
        self._ask()
        return [one for one in self._stored(chain) if one.sequence > after][:limit]

    async def at(self, chain: str, sequence: int) -> Stored | None:
        """See `AuditStore.at`."""
        self._ask()
        return next((one for one in self._stored(chain) if one.sequence == sequence), None)

    async def first_since(self, chain: str, at_ms: int) -> int | None:
        """See `AuditStore.first_since`."""
        self._ask()
        times = [(self._record(one).at_ms, one.sequence) for one in self._stored(chain)]
        return min((place for place in times if place[0] >= at_ms), default=(0, None))[1]

    async def seals(self, chain: str, after: int, until: int, limit: int) -> list[Seal]:
        """See `AuditStore.seals`."""
        self._ask()
        held = [
            seal
            for seal in self._sealed(chain)
            if seal.statement.kind is not StatementKind.CHECKPOINT
            and after < seal.statement.sequence <= until
        ]
        return sorted(held, key=lambda seal: seal.statement.sequence)[:limit]

    async def checkpoints(self, chain: str, begin: tuple[int, int], beyond: int) -> list[Seal]:
        """See `AuditStore.checkpoints`."""
        self._ask()
        held = [
            seal
            for seal in self._sealed(chain)
            if seal.statement.kind is StatementKind.CHECKPOINT
            and begin[0] <= seal.statement.first <= begin[1]
            and seal.statement.sequence > beyond
        ]
        return sorted(held, key=lambda seal: (seal.statement.first, seal.statement.number))

    async def served(
        self, chain: str, kind: Kind, before_ms: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """See `AuditStore.served`."""
        self._ask()
        return [
            (one.sequence, one.hash)
            for one in self._stored(chain)
            if one.data and (told := self._record(one)).kind is kind and told.at_ms < before_ms
        ][:limit]

    async def removable(self, chain: str, before_ms: int, limit: int) -> Head | None:
        """See `AuditStore.removable`."""
        self._ask()
        head = None
        for one in self._stored(chain)[:limit]:
            if one.data or self._record(one).at_ms >= before_ms:
                break
            head = Head(one.sequence, one.hash)
        return head

    async def thin_seals(self, before_ms: int) -> int:
        """See `AuditStore.thin_seals`."""
        self._ask()
        count = 0
        for held in self._chains.values():
            old = [
                seal
                for seal in held.seals
                if seal.statement.kind is StatementKind.SEAL and seal.statement.at_ms < before_ms
            ]
            kept = {seal.statement.at_ms // _DAY_MS: id(seal) for seal in old}
            gone = {id(seal) for seal in old} - set(kept.values())
            held.seals = [seal for seal in held.seals if id(seal) not in gone]
            count += len(gone)
        return count

    async def erasures(self, after: tuple[str, str], limit: int) -> list[Erasure]:
        """See `AuditStore.erasures`."""
        self._ask()
        return [self._erasures[place] for place in sorted(self._erasures) if place > after][:limit]

    def _check(self, heads: Mapping[str, Head], change: Change) -> None:
        now = dict(heads)
        for one in change.placed:
            head = now[one.record.chain]
            linked = one.link.head
            if linked.sequence != head.sequence + 1:
                raise Forked
            if linked.hash != follow(head.hash, one.link.digest):
                raise Forked
            now[one.record.chain] = linked
        for chain, (sequences, _) in change.dropped.items():
            whole = {stored.sequence for stored in self._stored(chain) if stored.data}
            if not whole.issuperset(sequences):
                raise Forked

    def _apply(self, change: Change) -> None:
        for one in change.placed:
            held = self._chains.setdefault(one.record.chain, _Chain(beginning(one.record.chain)))
            linked = one.link
            held.records.append(
                Stored(linked.head.sequence, linked.head.hash, linked.digest, linked.data)
            )
            self._read[linked.digest] = one.record
        for seal in change.seals:
            self._chains[seal.statement.chain].seals.append(seal)
        for erasure in change.erasures:
            self._erasures[erasure.chain, erasure.index] = erasure
        for chain, (sequences, number) in change.dropped.items():
            gone = set(sequences)
            self._chains[chain].records = [
                replace(one, data=b"", checkpoint=number) if one.sequence in gone else one
                for one in self._chains[chain].records
            ]
        for chain, head in change.begins.items():
            held = self._chains[chain]
            held.begin = head
            held.records = [one for one in held.records if one.sequence > head.sequence]
            held.seals = [seal for seal in held.seals if seal.statement.sequence >= head.sequence]

    def _state(self, chain: str) -> ChainState:
        held = self._chains[chain]
        plain = [
            seal.statement.sequence
            for seal in held.seals
            if seal.statement.kind is StatementKind.SEAL
        ]
        return ChainState(chain, held.begin, held.head, max(plain, default=-1))

    def _stored(self, chain: str) -> list[Stored]:
        held = self._chains.get(chain)
        return [] if held is None else held.records

    def _sealed(self, chain: str) -> list[Seal]:
        held = self._chains.get(chain)
        return [] if held is None else held.seals

    def _record(self, stored: Stored) -> Record:
        return self._read[stored.digest]

    def _place(self, whole: Sequence[Stored], id_: str | None, param: str) -> int | None:
        if id_ is None:
            return None
        for stored in whole:
            if self._record(stored).id == id_:
                return stored.sequence
        raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is nothing with this id.", param=param)


def _matches(record: Record, filters: Filters) -> bool:
    if filters.since_ms is not None and record.at_ms < filters.since_ms:
        return False
    if filters.until_ms is not None and record.at_ms >= filters.until_ms:
        return False
    either = record.action in filters.actions or record.kind in filters.kinds
    if (filters.actions or filters.kinds) and not either:
        return False
    return all(
        not wanted or has in wanted
        for wanted, has in (
            (filters.actors, record.actor.index or record.actor.id),
            (filters.targets, record.target.index or record.target.id),
            (filters.projects, record.project),
            (filters.outcomes, record.outcome.value),
        )
    )


class MemoryPersonStore(_Away):
    """`telemetry.audit.ports.PersonStore` in memory; `rows` are by tag."""

    def __init__(self) -> None:
        self.rows: dict[bytes, PersonRow] = {}
        self.touches = 0

    async def of(self, tags: Collection[bytes]) -> list[PersonRow]:
        """See `PersonStore.of`."""
        self._ask()
        return [self.rows[tag] for tag in tags if tag in self.rows]

    async def called(self, indexes: Collection[str]) -> list[PersonRow]:
        """See `PersonStore.called`."""
        self._ask()
        return [row for row in self.rows.values() if row.index in indexes]

    async def add(self, rows: Sequence[PersonRow]) -> None:
        """See `PersonStore.add`."""
        self._ask()
        for row in rows:
            self.rows.setdefault(row.tag, row)

    async def touch(self, tags: Collection[bytes], used_at: float) -> None:
        """See `PersonStore.touch`."""
        self._ask()
        self.touches += 1
        for tag in tags:
            if tag in self.rows:
                self.rows[tag] = replace(self.rows[tag], used_at=used_at)

    async def erase(self, indexes: Collection[str]) -> int:
        """See `PersonStore.erase`."""
        self._ask()
        gone = [tag for tag, row in self.rows.items() if row.index in indexes]
        for tag in gone:
            del self.rows[tag]
        return len(gone)

    async def purge(self, before: float, limit: int) -> int:
        """See `PersonStore.purge`."""
        self._ask()
        gone = [tag for tag, row in self.rows.items() if row.used_at < before][:limit]
        for tag in gone:
            del self.rows[tag]
        return len(gone)


class AuditParts:
    """A whole audit log over stores in memory, or over the given ones."""

    def __init__(
        self,
        store: AuditStore | None = None,
        rows: PersonStore | None = None,
        **settings: float,
    ) -> None:
        self.clock = ManualClock()
        self.settings = AuditSettings.model_validate(settings)
        self.store = store or MemoryAuditStore()
        self.rows = rows or MemoryPersonStore()
        self.tally = own_tally()
        built = build_audit(
            self.store, self.rows, MasterKey(b"k" * 32), self.settings, self.clock, self.tally
        )
        self.sink, self.log, self.export = built.sink, built.log, built.export
        self.desk, self.persons, self.retention = built.desk, built.persons, built.retention

    async def exported(self, chain: str = ORGANIZATION, **when: int) -> list[bytes]:
        """The lines of an export."""
        page = await self.export.begin(chain, **when)
        data = page.lines
        while page.following is not None:
            page = await self.export.go_on(chain, page.following)
            data += page.lines
        return data.splitlines(keepends=True)

    async def records(self, chain: str = ORGANIZATION) -> list[Record]:
        """The records that have their contents, in their order."""
        stored = await self.store.span(chain, 0, 1_000_000)
        return [canonical.decode(one.data) for one in stored if one.data]


def admin_event(
    number: int = 1,
    name: str = "key:create",
    *,
    at: float = 1_800_000_000.0,
    before: Mapping[str, Fact] | None = None,
    after: Mapping[str, Fact] | None = None,
    **facts: Fact,
) -> Event:
    """A change by a user of `ORGANIZATION`."""
    told: dict[str, Fact] = {
        "name": name, "organization": ORGANIZATION, "project": "proj_1", "actor": "user_ada",
        "target": f"key_{number}", "detail.request_id": f"req_{number}",
        "detail.source": "203.0.113.7",
    }  # fmt: skip
    told |= {f"detail.{field}.before": value for field, value in (before or {}).items()}
    told |= {f"detail.{field}.after": value for field, value in (after or {}).items()}
    return Event(EventKind.ADMINISTRATION, at, f"evt_{number}", told | facts)


def denial(number: int = 1, *, at: float = 1_800_000_000.0, **facts: Fact) -> Event:
    """A key that may not."""
    told: dict[str, Fact] = {
        "organization": ORGANIZATION, "project": "proj_1", "key": "key_robot",
        "permission": "model:invoke", "model": f"model_{number}", "reason": "permission_denied",
        "source": "203.0.113.9",
    }  # fmt: skip
    return Event(EventKind.AUTHORIZATION_DENIED, at, f"req_denied_{number}", told | facts)


def failure(number: int = 1, *, at: float = 1_800_000_000.0, **facts: Fact) -> Event:
    """Credentials that are not valid, from one network."""
    told: dict[str, Fact] = {
        "network": "203.0.113.0/24", "reason": "invalid_api_key", "count": 1, "first_at": at,
        "last_at": at,
    }  # fmt: skip
    return Event(EventKind.AUTHENTICATION_FAILED, at, f"authf_{number}", told | facts)
