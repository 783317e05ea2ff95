"""The store of the limits in the memory of one process, for one RateLimiter replica.

With a journal, grants survive the death of the process: each is written before it is answered and
done again after a restart (journal.py says what is promised then). Without one, a restart forgets.

Failure behavior: a journal that cannot be opened or written makes the store away (`LimitStoreAway`)
until it can be; nothing is granted then, and holders go on with what they have. Where the store has
lost its memory, counters count as full until their window is over or `PastUse` tells what was used;
it is asked beside the exchanges, which never wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from helixflow.clock import Clock
from helixflow.limits.book import Book, Change
from helixflow.limits.journal import Journal
from helixflow.limits.ports import Answer, Ask, CounterId, LimitStoreAway, PastUse, UnknownPast
from helixflow.limits.segments import JournalBusy
from helixflow.limits.window import WINDOW_S
from helixflow.settings import LimitsSettings

_log = logging.getLogger(__name__)

_PAST_CALL_S = 2.0
_PAST_PAUSE_S = 5.0
_PAST_MAX = 1024


class MemoryLimitStore:
    """`LimitStore` in this process's memory."""

    def __init__(
        self,
        clock: Clock,
        settings: LimitsSettings,
        journal: Journal | None = None,
        past: PastUse | None = None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._journal = journal
        self._past = past or UnknownPast()
        self._book: Book | None = None if journal else Book(settings)
        self._offset = 0.0
        self._troubled = False
        self._past_away = False
        self._asking: asyncio.Task[None] | None = None
        self._wanted: dict[CounterId, None] = {}
        self._asked_at: dict[CounterId, float] = {}

    async def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
    ) -> Answer:
        """See `LimitStore.exchange`."""
        book = self._opened()
        now = self._now()
        self._want_past(book.unknown(groups, now), now)
        grants, changes = book.exchange(holder, number, acked, groups, now)
        if changes:
            self._write(book, holder, number, changes, now)
        return Answer(grants, book.recalled(holder))

    async def silent(self, after_s: float) -> list[str]:
        """See `LimitStore.silent`."""
        return self._opened().silent(after_s, self._now())

    async def bury(self, holder: str) -> None:
        """See `LimitStore.bury`."""
        book = self._opened()
        now = self._now()
        changes = book.bury(holder, now)
        if changes:
            self._write(book, holder, 0, changes, now)

    async def close(self) -> None:
        """Stop asking for the past, and let another process have the journal."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        journal, self._journal, self._book = self._journal, None, None
        if journal is not None:
            journal.close()

    def _now(self) -> float:
        return self._clock.monotonic() + self._offset

    def _opened(self) -> Book:
        """The book; read from the journal at first. Raises `LimitStoreAway`."""
        if self._book is not None:
            return self._book
        if self._journal is None:
            raise LimitStoreAway("the store is closed")
        try:
            self._book, self._offset = self._journal.open(
                lambda: Book(self._settings), self._clock.now(), self._clock.monotonic()
            )
        except (JournalBusy, OSError) as error:
            raise self._trouble(error) from error
        self._troubled = False
        return self._book

    def _write(
        self, book: Book, holder: str, number: int, changes: Sequence[Change], now: float
    ) -> None:
        date = self._clock.now()
        self._guarded(lambda journal: journal.append(book, now, date, holder, number, changes))

    def _guarded(self, write: Callable[[Journal], None]) -> None:
        """Write to the journal, where there is one. Raises `LimitStoreAway`."""
        if self._journal is None:
            return
        try:
            write(self._journal)
        except OSError as error:
            raise self._trouble(error) from error
        if self._troubled:
            _log.info("the journal of the limits can be written again")
        self._troubled = False

    def _trouble(self, error: Exception) -> LimitStoreAway:
        if not self._troubled:
            _log.error("the journal of the limits cannot be used: %s", error)
        self._troubled = True
        return LimitStoreAway(f"the journal cannot be used: {error}")

    # The past, where it was forgotten.

    def _want_past(self, counters: Sequence[CounterId], now: float) -> None:
        for counter in counters:
            asked_at = self._asked_at.get(counter)
            due = asked_at is None or asked_at + _PAST_PAUSE_S <= now
            if due and len(self._wanted) < _PAST_MAX:
                self._wanted[counter] = None
        if self._wanted and self._asking is None:
            self._asking = asyncio.create_task(self._ask_past())

    async def _ask_past(self) -> None:
        """Ask for what is wanted, one after the other."""
        try:
            while self._wanted:
                counter = next(iter(self._wanted))
                del self._wanted[counter]
                self._note_asked(counter)
                await self._learn(counter)
        finally:
            self._asking = None

    def _note_asked(self, counter: CounterId) -> None:
        self._asked_at.pop(counter, None)
        while len(self._asked_at) >= _PAST_MAX:
            del self._asked_at[next(iter(self._asked_at))]
        self._asked_at[counter] = self._now()

    async def _learn(self, counter: CounterId) -> None:
        try:
            async with asyncio.timeout(_PAST_CALL_S):
                uses = await self._past.amounts(counter, WINDOW_S[counter.name])
        except Exception as error:
            if not self._past_away:
                _log.warning("what was used before cannot be read: %s", type(error).__name__)
            self._past_away = True
            return
        self._past_away = False
        with contextlib.suppress(LimitStoreAway):
            book, now = self._opened(), self._now()
            if uses is not None and book.know(counter, uses, now):
                self._asked_at.pop(counter, None)
                self._guarded(lambda journal: journal.note(book, now, self._clock.now(), counter))
