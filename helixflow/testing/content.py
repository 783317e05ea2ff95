"""Kept content without databases: stores in memory, a vault at hand, and the stores' contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from helixflow.crypto.master_key import MasterKey
from helixflow.errors import NotFound, Refusal, Unavailable
from helixflow.ids import KeyId, OrganizationId, ProjectId, RequestId
from helixflow.inference.deadline import Deadline
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.inference.principal import Keeping, Principal
from helixflow.inference.request import Call, Operation
from helixflow.settings import ContentSettings, HubSettings
from helixflow.telemetry.content.desk import ContentDesk
from helixflow.telemetry.content.keeper import Keeper
from helixflow.telemetry.content.keys import ContentKeys
from helixflow.telemetry.content.ports import (
    ContentKeyStore,
    ContentStore,
    KeepWire,
    KeptWire,
    Sealed,
)
from helixflow.telemetry.content.vault import Vault
from helixflow.telemetry.desk import Desk
from helixflow.telemetry.station import own_tally
from helixflow.testing.audit import ORGANIZATION, AuditParts
from helixflow.testing.audit_checks import expect
from helixflow.testing.clock import ManualClock
from helixflow.testing.signals import RecordingSignals

PROJECT = "proj_1"
DAY_S = 86_400.0


class MemoryContentStore:
    """`ContentStore` in memory.

    Attributes:
        rows: what is stored, by organization, project and request.
        away: raised instead of any answer.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], Sealed] = {}
        self.ledger: dict[bytes, int] = {}
        self.away: Exception | None = None

    async def add(self, contents: Sequence[Sealed]) -> None:
        """See `ContentStore.add`."""
        self._ask()
        for one in contents:
            self.rows.setdefault((one.organization, one.project, one.request), one)

    async def get(self, organization: str, project: str, request: str) -> Sealed | None:
        """See `ContentStore.get`."""
        self._ask()
        return self.rows.get((organization, project, request))

    async def page(
        self, organization: str, project: str, after: str | None, limit: int
    ) -> list[Sealed]:
        """See `ContentStore.page`."""
        self._ask()
        mine = [row for place, row in self.rows.items() if place[:2] == (organization, project)]
        mine.sort(key=lambda row: (row.at, row.request), reverse=True)
        begin = 0
        if after is not None:
            ids = [row.request for row in mine]
            if after not in ids:
                raise NotFound(Refusal.RESOURCE_NOT_FOUND, "There is nothing with this id.")
            begin = ids.index(after) + 1
        return [replace(row, sealed=b"") for row in mine[begin : begin + limit]]

    async def delete(self, organization: str, project: str, request: str) -> int:
        """See `ContentStore.delete`."""
        self._ask()
        gone = self.rows.pop((organization, project, request), None)
        return 0 if gone is None else len(gone.sealed)

    async def erase(self, organization: str, project: str, period: int, limit: int) -> int:
        """See `ContentStore.erase`."""
        self._ask()
        mine = (organization, project)
        return self._drop(
            [at for at, row in self.rows.items() if at[:2] == mine and row.period <= period], limit
        )

    async def shorten(self, organization: str, project: str, days: int) -> None:
        """See `ContentStore.shorten`."""
        self._ask()
        for place, row in self.rows.items():
            if place[:2] == (organization, project):
                self.rows[place] = replace(row, days=min(days, row.days))

    async def expire(self, now: float, before: float, limit: int) -> int:
        """See `ContentStore.expire`."""
        self._ask()
        return self._drop(
            [
                place
                for place, row in self.rows.items()
                if row.at + row.days * DAY_S <= now or row.at < before
            ],
            limit,
        )

    async def total(self) -> int:
        """See `ContentStore.total`."""
        self._ask()
        return sum(len(row.sealed) for row in self.rows.values())

    async def erased(self, tag: bytes) -> int:
        """See `ContentStore.erased`."""
        self._ask()
        return self.ledger.get(tag, 0)

    async def note_erased(self, tag: bytes, period: int) -> None:
        """See `ContentStore.note_erased`."""
        self._ask()
        self.ledger[tag] = max(period, self.ledger.get(tag, 0))

    async def erasures(self, after: bytes, limit: int) -> list[tuple[bytes, int]]:
        """See `ContentStore.erasures`."""
        self._ask()
        return sorted(item for item in self.ledger.items() if item[0] > after)[:limit]

    def _ask(self) -> None:
        if self.away is not None:
            raise self.away

    def _drop(self, places: Sequence[tuple[str, str, str]], limit: int) -> int:
        for place in places[:limit]:
            del self.rows[place]
        return len(places[:limit])


class MemoryContentKeys:
    """`ContentKeyStore` in memory; `away` is raised instead of any answer."""

    def __init__(self) -> None:
        self.rows: dict[tuple[bytes, int], bytes] = {}
        self.away: Exception | None = None

    async def get(self, tag: bytes, period: int) -> bytes | None:
        """See `ContentKeyStore.get`."""
        self._ask()
        return self.rows.get((tag, period))

    async def add(self, tag: bytes, period: int, wrapped: bytes, at: float) -> None:
        """See `ContentKeyStore.add`."""
        self._ask()
        self.rows.setdefault((tag, period), wrapped)

    async def erase(self, tag: bytes, period: int) -> int:
        """See `ContentKeyStore.erase`."""
        self._ask()
        gone = [place for place in self.rows if place[0] == tag and place[1] <= period]
        for place in gone:
            del self.rows[place]
        return len(gone)

    def _ask(self) -> None:
        if self.away is not None:
            raise self.away


class ContentParts:
    """Keeping from the Ingress to the stores, in memory or over the given ones.

    Attributes:
        away: makes Telemetry unreachable for the keeper.
        deaf: a batch arrives, and its answer is lost.
        batches: what arrived.
    """

    def __init__(
        self,
        store: ContentStore | None = None,
        keys: ContentKeyStore | None = None,
        **settings: float,
    ) -> None:
        self.clock, self.signals = ManualClock(), RecordingSignals()
        self.settings = ContentSettings.model_validate(settings)
        self.store = store or MemoryContentStore()
        self.rows = keys or MemoryContentKeys()
        self.audit = AuditParts()
        ring = MasterKey(b"k" * 32)
        self.keys = ContentKeys(self.rows, self.store, ring, self.clock)
        self.vault = Vault(self.store, self.keys, self.settings, self.clock, own_tally())
        desk = ContentDesk(self.store, self.keys, self.vault, self.audit.log, self.clock)
        self.desk = Desk(desk.operations(), HubSettings())
        self.keeper = Keeper(self, self.settings, self.clock, self.signals)
        self.away = self.deaf = False
        self.batches: list[KeepWire] = []

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `VaultPort.call`."""
        if self.away:
            raise _away()
        return await self.desk.answer(call)

    async def keep(self, batch: KeepWire) -> KeptWire:
        """See `VaultPort.keep`."""
        if self.away:
            raise _away()
        self.batches.append(batch)
        kept = await self.vault.keep(batch)
        if self.deaf:
            raise _away()
        return kept


def some_keeper(days: int = 7, period: int = 1, project: str = PROJECT) -> Principal:
    """A caller whose project keeps content."""
    return Principal(
        OrganizationId(ORGANIZATION),
        ProjectId(project),
        KeyId("key_1"),
        "a key",
        frozenset({"model:invoke", "content:read", "content:delete"}),
        keeping=Keeping(days, period),
    )


def some_call(request: str = "req_1", body: bytes = b'{"messages": []}') -> Call:
    """A request of that caller's."""
    return Call(Operation.CHAT, body, None, RequestId(request), Deadline.after(0.0, 60.0))


def some_sealed(request: str = "req_1", **facts: object) -> Sealed:
    """A content as it is stored."""
    plain = Sealed(
        ORGANIZATION, PROJECT, request, 1000.0, 7, "echo-1", "chat.completions", "ok", 10, 20,
        truncated=False, period=1, session="s" * 32, sealed=b"sealed",
    )  # fmt: skip
    return replace(plain, **facts)  # type: ignore[arg-type]


async def check_contents(store: ContentStore) -> None:
    """Sealed contents. Raises `AssertionError`."""
    rows = [some_sealed(f"req_{n}", at=1000.0 + n, sealed=b"x" * n) for n in range(1, 6)]
    theirs = some_sealed("req_1", organization="org_2", period=9)
    await store.add([*rows, theirs])
    await store.add([replace(rows[0], sealed=b"another"), *rows[3:]])
    await store.add([])
    place = (ORGANIZATION, PROJECT)
    expect(await store.get(*place, "req_1") == rows[0], "the first content of a request stays")
    expect(await store.get(ORGANIZATION, "proj_2", "req_1") is None, "of its project alone")
    expect(await store.get(*place, "req_\0") is None, "whatever is asked for")
    expect(await store.total() == 15 + len(theirs.sealed), "sizes are added up")
    page = await store.page(*place, None, 2)
    expect(page == [replace(row, sealed=b"") for row in (rows[4], rows[3])], "the newest first")
    rest = await store.page(*place, "req_4", 9)
    expect([row.request for row in rest] == ["req_3", "req_2", "req_1"], "and on from a place")
    for after in ("req_9", "req_\0"):
        try:
            await store.page(*place, after, 2)
        except NotFound:
            continue
        raise AssertionError("a place that is none is told")
    expect(await store.delete(*place, "req_5") == 5, "one is deleted")
    expect(await store.delete(*place, "req_5") == 0, "once")
    await store.add([replace(rows[1], request="req_6", period=2)])
    expect(await store.erase(*place, 1, 2) == 2, "not more at a time than are asked for")
    expect(await store.erase(*place, 1, 9) == 2, "all of the periods that are given up")
    expect([row.request for row in await store.page(*place, None, 9)] == ["req_6"], "no other")
    expect(await store.get("org_2", PROJECT, "req_1") == theirs, "of no other tenant")
    await _check_retention(store)


async def _check_retention(store: ContentStore) -> None:
    at = 1_000_000.0
    rows = [some_sealed(f"old_{n}", at=at + n, days=n) for n in range(1, 4)]
    await store.add([*rows, some_sealed("theirs", at=at, days=3, project="proj_2")])
    await store.erase(ORGANIZATION, PROJECT, 2, 9)
    await store.add(rows)
    expect(await store.expire(at + 1.5 * DAY_S, 0.0, 9) == 2, "what is over goes")  # and org_2's
    for days in (2, 30):
        await store.shorten(ORGANIZATION, PROJECT, days)
    held = await store.page(ORGANIZATION, PROJECT, None, 9)
    expect([row.days for row in held] == [2, 2], "days get fewer, never more")
    expect(await store.expire(at + 2.5 * DAY_S, 0.0, 1) == 1, "a few at a time")
    expect(await store.expire(at + 2.5 * DAY_S, 0.0, 9) == 1, "until there are no more")
    left = await store.page(ORGANIZATION, "proj_2", None, 9)
    expect([(row.request, row.days) for row in left] == [("theirs", 3)], "of this project alone")
    expect(await store.expire(at, at + 1.0, 9) == 1, "what is older than anything may be goes")


async def check_ledger(store: ContentStore) -> None:
    """The ledger of erasures. Raises `AssertionError`."""
    one, two = b"\x01" * 32, b"\x02" * 32
    expect(await store.erased(one) == 0, "nothing is given up at first")
    for period in (3, 2):
        await store.note_erased(one, period)
    await store.note_erased(two, 1)
    expect(await store.erased(one) == 3, "the last period counts")
    expect(await store.erasures(b"", 1) == [(one, 3)], "the ledger comes in parts")
    expect(await store.erasures(one, 9) == [(two, 1)], "in the order of its tags")


async def check_content_keys(store: ContentKeyStore) -> None:
    """Wrapped data keys. Raises `AssertionError`."""
    one, two = b"\x01" * 32, b"\x02" * 32
    for period in (1, 2, 3):
        await store.add(one, period, b"key %d" % period, 5.0)
    await store.add(one, 1, b"another", 6.0)
    await store.add(two, 1, b"theirs", 5.0)
    expect(await store.get(one, 1) == b"key 1", "the first key stays")
    expect(await store.get(one, 4) is None, "and there is none where none was made")
    expect(await store.erase(one, 2) == 2, "keys are deleted up to a period")
    expect(await store.get(one, 1) is None, "for good")
    expect(await store.get(one, 3) == b"key 3", "but not the later ones")
    expect(await store.get(two, 1) == b"theirs", "nor those of others")
    expect(await store.erase(one, 2) == 0, "once")


def _away() -> Unavailable:
    return Unavailable(
        Refusal.TELEMETRY_UNAVAILABLE, "Telemetry does not answer.", retry_after_s=1.0
    )
