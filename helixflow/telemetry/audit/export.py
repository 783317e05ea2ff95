"""An export, page by page: JSON Lines that `verify.py` checks without the platform.

A file holds the header, what was sealed of its beginning, the records in their order with each seal
after its record and each checkpoint where it begins, a fresh seal over the last record, and the end
line (`lines.py`, `seals.py`). A page is made from a cursor that says how far the file has come, so
nothing is held between two pages, and a file of any length takes the memory of one page.

Failure behavior: where records are dropped while a file is being written, that would not show a
checkpoint for them: the next page raises `Conflict`, and the file is left without its end.
"""

from __future__ import annotations

import msgspec

from helixflow.errors import Conflict, Refusal
from helixflow.telemetry.audit.chain import Head, beginning
from helixflow.telemetry.audit.lines import dropped_line, end_line, header_line, record_line
from helixflow.telemetry.audit.log import AuditLog
from helixflow.telemetry.audit.ports import AuditStore, ChainState, Stored
from helixflow.telemetry.audit.seals import Seal

PAGE_RECORDS = 500
_SEALS_MAX = 4 * PAGE_RECORDS


class Cursor(msgspec.Struct, frozen=True):
    """How far a file has come.

    Attributes:
        base: the number of the record before the file's first one.
        after: of the last record in it.
        last: of the last one that it is to have.
        head: of the chain's last one when the file was begun.
    """

    base: int
    after: int
    last: int
    head: int


class Page(msgspec.Struct, frozen=True):
    """A part of a file, and the cursor of the next part; None at the end."""

    lines: bytes
    following: Cursor | None


class Export:
    """Writes chains out."""

    def __init__(self, store: AuditStore, log: AuditLog) -> None:
        self._store = store
        self._log = log

    async def begin(
        self, chain: str, since_ms: int | None = None, until_ms: int | None = None
    ) -> Page:
        """The first part of a file: of a whole chain, or of what happened from then to then."""
        await self._log.seal(chain)
        state = await self._store.chain(chain)
        if state is None:
            first = beginning(chain)
            state = ChainState(chain, first, first, -1)
        base = await self._base(state, since_ms)
        last = state.head.sequence
        if until_ms is not None:
            end = await self._store.first_since(chain, until_ms)
            last = last if end is None else max(end - 1, base.sequence)
        opening = [header_line(chain, base, self._log.public)]
        if base.sequence:
            kept = await self._store.seals(chain, base.sequence - 1, base.sequence, _SEALS_MAX)
            opening += [seal.line + b"\n" for seal in kept]
            opening.append(self._log.signed(chain, base).line + b"\n")
        cursor = Cursor(base.sequence, base.sequence, last, state.head.sequence)
        return await self._page(chain, cursor, opening, base)

    async def go_on(self, chain: str, cursor: Cursor) -> Page:
        """The next part. Raises `Conflict`."""
        before = await self._store.at(chain, cursor.after)
        if before is None:
            raise _changed()
        return await self._page(chain, cursor, [], Head(cursor.after, before.hash))

    async def _page(self, chain: str, cursor: Cursor, opening: list[bytes], before: Head) -> Page:
        limit = min(PAGE_RECORDS, cursor.last - cursor.after)
        records = await self._store.span(chain, cursor.after, limit) if limit > 0 else []
        if len(records) < limit:
            raise _changed()
        until = cursor.after + limit
        marks = await self._marks(chain, cursor, until)
        told = [*opening, *marks.pop(cursor.after, [])]
        for number, stored in enumerate(records, cursor.after + 1):
            if stored.sequence != number or stored.checkpoint > cursor.head:
                raise _changed()
            told += (_line(stored), *marks.pop(number, ()))
        if until < cursor.last:
            following = Cursor(cursor.base, until, cursor.last, cursor.head)
            return Page(b"".join(told), following)
        head = Head(until, records[-1].hash) if records else before
        told += (self._log.signed(chain, head).line + b"\n", end_line(until - cursor.base))
        return Page(b"".join(told), None)

    async def _marks(self, chain: str, cursor: Cursor, until: int) -> dict[int, list[bytes]]:
        """The lines that follow each record: seals over it, checkpoints that begin after it."""
        marks: dict[int, list[bytes]] = {}

        def put(number: int, seal: Seal) -> None:
            marks.setdefault(number, []).append(seal.line + b"\n")

        for seal in await self._store.seals(chain, cursor.after, until, _SEALS_MAX):
            put(seal.statement.sequence, seal)
        first = 1 if cursor.after == cursor.base else cursor.after + 1
        # One that begins after the page's last record comes with the next page.
        for seal in await self._store.checkpoints(chain, (first, until), cursor.base):
            if seal.statement.number <= cursor.head:
                put(max(seal.statement.first - 1, cursor.after), seal)
        return marks

    async def _base(self, state: ChainState, since_ms: int | None) -> Head:
        """The head before the first record of the file."""
        if since_ms is None:
            return state.begin
        first = await self._store.first_since(state.chain, since_ms)
        if first is None:
            return state.head
        before = await self._store.at(state.chain, first - 1)
        return state.begin if before is None else Head(before.sequence, before.hash)


def _line(stored: Stored) -> bytes:
    if stored.data:
        return record_line(stored.hash, stored.data)
    return dropped_line(stored.hash, stored.digest, stored.checkpoint)


def _changed() -> Conflict:
    return Conflict(
        Refusal.CONFLICT, "Records were dropped meanwhile, as their time was over; export again."
    )
