"""The journal of a memory store: what it granted, written before it is answered.

Records are written without fsync: they survive the death of the process (`kill -9`), not a sudden
death of the machine. Each says what an exchange changed, so that `open` can do it again.

The journal is bounded: a segment that is larger than half of `bytes_max` is followed by the next
one. Each record that is written there brings along the whole state of some counters that the next one
does not have yet, those that it changes first of all; when it has them all, the segment before it is
removed. So nothing ever waits for a snapshot, and at every moment the files together hold
everything. Where the counters themselves are that large, a segment is at most about four times theirs.

Times: the store's clock is the machine's monotonic one plus an offset that is kept here, so it goes
on after a restart and does not notice when the machine's date is set. Only after a boot of the
machine (or on another one) the date says how much time has passed, and never less than none.

Failure behavior: a frame that is cut short at the end is dropped; nobody had an answer to it. Where
the machine was booted since, the newest records may be missing: the book is shaken. Where a file is
damaged, or gone although the marker beside it says that there was one, the book begins empty and
knows that it lost its memory. A record that cannot be written raises, and its grants are not
answered. A journal that another process has open raises `JournalBusy`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from helixflow.errors import HelixFlowError
from helixflow.ids import OrganizationId
from helixflow.limits.book import Book, Change
from helixflow.limits.frames import Fault, Reading, read_frames
from helixflow.limits.ports import CounterId
from helixflow.limits.segments import Segments

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

_VERSION = 1
_WHOLE = _encode(["whole"])
_COPY_SHARE = 2
_COPY_BYTES_MIN = 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Names the machine's current boot, from which its monotonic clock runs."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex  # as if it were booted every time


class _Unusable(HelixFlowError):
    """What is there cannot be replayed; the message says why."""


@dataclass(slots=True)
class _Replayed:
    """Where a replay got to.

    Attributes:
        at, date: the store's clock and the date, at the newest record.
        offset, boot: of the store's clock, and the boot that it is of.
        number, size_bytes: the last segment, and how much of it is good.
        whole: whether it holds everything.
    """

    at: float = 0.0
    date: float = 0.0
    offset: float = 0.0
    boot: str = ""
    number: int = 0
    size_bytes: int = 0
    whole: bool = True


class Journal:
    """The journal in a folder of its own.

    Args:
        folder: where its files are; made where it is missing.
        bytes_max: about how large they may be, together.
        boot: names the machine's boot.
    """

    def __init__(self, folder: Path, bytes_max: int, boot: str | None = None) -> None:
        self._segments = Segments(folder)
        self._segment_bytes_max = bytes_max // 2
        self._boot = boot_id() if boot is None else boot
        self._generation = ""
        self._number = 0
        self._offset = 0.0
        self._uncopied: dict[CounterId, None] | None = None
        self._copied_bytes = 0
        self._state_bytes = 0

    @property
    def size_bytes(self) -> int:
        """How large its files are, together."""
        return self._segments.total_bytes()

    def open(self, book: Callable[[], Book], date: float, monotonic: float) -> tuple[Book, float]:
        """Replay what is there; returns the book and the offset of the store's clock.

        Args:
            book: makes an empty one.
            date: epoch seconds.
            monotonic: seconds of the machine's monotonic clock.

        Raises `JournalBusy`, or OSError where the folder cannot be used.
        """
        self._segments.lock()
        marked, numbers = self._segments.generation, self._segments.numbers()
        if not marked and not numbers:
            return self._begin(book(), 0.0, date)
        try:
            replayed, replay = self._replay(book(), marked, numbers)
        except (_Unusable, msgspec.DecodeError, LookupError, TypeError, ValueError) as error:
            _log.error("the journal of the limits is lost (%s): limits count as used up", error)
            lost = book()
            lost.lost_at = monotonic
            return self._begin(lost, 0.0, date, at=monotonic)
        return replayed, self._resume(replayed, replay, date, monotonic)

    def append(
        self,
        book: Book,
        at: float,
        date: float,
        holder: str,
        number: int,
        changes: Sequence[Change],
    ) -> None:
        """Write what an exchange changed in the book (a burial: `number` 0). Raises OSError."""
        uncopied = self._uncopied or {}
        touched = dict.fromkeys(id_ for id_, _ in changes if id_ in uncopied)
        plain = [(*_key(id_), move) for id_, move in changes if id_ not in uncopied]
        copies = _copies(book, touched)
        payload = _encode(["record", at, date, holder, number, plain, copies])
        self._segments.append(payload)
        self._copied(touched, copies)
        if self._uncopied is not None:
            self._copy(book, at, date, max(_COPY_BYTES_MIN, _COPY_SHARE * len(payload)))
        elif self._segments.size_bytes > max(self._segment_bytes_max, 2 * self._state_bytes):
            self._follow(book, at, date)

    def note(self, book: Book, at: float, date: float, counter: CounterId) -> None:
        """Write the whole state of a counter, after a change that was no exchange. Raises OSError."""
        self._segments.append(_encode(["copies", at, date, _copies(book, (counter,))]))

    def close(self) -> None:
        """Let another process have it."""
        self._segments.close()

    # Opening.

    def _begin(self, book: Book, offset: float, date: float, at: float = 0.0) -> tuple[Book, float]:
        """The first segment of a generation."""
        self._generation, self._offset = uuid.uuid4().hex, offset
        self._segments.mark(self._generation)
        numbers = self._segments.numbers()
        self._number = max(numbers, default=0) + 1
        self._segments.begin(self._number, self._head(book, at, date, whole=True))
        self._segments.remove_before(self._number)
        return book, offset

    def _replay(self, book: Book, marked: str, numbers: Sequence[int]) -> tuple[Book, _Replayed]:
        """Everything from the last segment on that holds everything. Raises `_Unusable`."""
        if not numbers:
            raise _Unusable("it is gone")
        first = self._last_whole(numbers)
        self._generation = marked
        replayed = _Replayed()
        for number in [each for each in numbers if each >= first]:
            reading = Reading()
            replayed.number, replayed.whole = number, False
            for payload in read_frames(self._segments.path(number), reading):
                self._redo(book, replayed, _decode(payload))
            torn_at_the_end = reading.fault is Fault.TORN and number == numbers[-1]
            if reading.fault is not None and not torn_at_the_end:
                raise _Unusable(f"segment {number} is {reading.fault.value}")
            replayed.size_bytes = reading.good_bytes
        return book, replayed

    def _last_whole(self, numbers: Sequence[int]) -> int:
        for number in reversed(numbers):
            payloads = read_frames(self._segments.path(number), Reading())
            head = next(payloads, b"")
            if (head and _decode(head)[-1]) or _WHOLE in payloads:
                return number
        raise _Unusable("no segment is whole")

    def _redo(self, book: Book, replayed: _Replayed, entry: list[Any]) -> None:
        match entry:
            case [
                "open",
                version,
                generation,
                boot,
                at,
                date,
                offset,
                lost,
                shaken,
                holders,
                whole,
            ]:
                if version != _VERSION or generation != self._generation:
                    raise _Unusable("it is of another generation or version")
                replayed.boot, replayed.offset = boot, offset
                replayed.whole = replayed.whole or whole
                book.lost_at = lost
                if shaken is not None:
                    book.shake(shaken)
                for holder, number in holders:
                    book.meet(holder, number, at)
            case ["record", at, date, holder, number, changes, copies]:
                _load(book, copies, at)
                moves = [(_id(*key), move) for *key, move in changes]
                book.redo(holder, number, moves, at)
            case ["copies", at, date, copies]:
                _load(book, copies, at)
            case ["whole"]:
                replayed.whole = True
                return
            case _:
                raise _Unusable("it holds something strange")
        replayed.at, replayed.date = max(replayed.at, at), date

    def _resume(self, book: Book, replayed: _Replayed, date: float, monotonic: float) -> float:
        """Go on after a replay; returns the offset of the store's clock."""
        at = monotonic + replayed.offset
        booted = replayed.boot != self._boot
        if booted or at < replayed.at:
            passed_s = max(0.0, date - replayed.date) if booted else 0.0
            at = replayed.at + passed_s
        self._offset = at - monotonic
        if booted:
            _log.warning("the machine was booted since the limits' last record: counting carefully")
            book.shake(at)
        for holder, number in book.holders():
            book.meet(holder, number, at)  # it had no chance to give a sign of life
        self._number = replayed.number
        self._segments.write_to(self._number, replayed.size_bytes)
        self._uncopied = None if replayed.whole else dict.fromkeys(book.ids())
        self._segments.append(self._head(book, at, date, whole=False))
        return self._offset

    def _head(self, book: Book, at: float, date: float, *, whole: bool) -> bytes:
        """What a segment begins with, and what is written when it is opened again."""
        head = ["open", _VERSION, self._generation, self._boot, at, date, self._offset]
        return _encode([*head, book.lost_at, book.shaken_at, book.holders(), whole])

    # Following one segment by the next.

    def _follow(self, book: Book, at: float, date: float) -> None:
        head = self._head(book, at, date, whole=False)
        self._segments.begin(self._number + 1, head)
        self._number, self._copied_bytes = self._number + 1, 0
        self._uncopied = dict.fromkeys(book.ids())

    def _copy(self, book: Book, at: float, date: float, bytes_min: int) -> None:
        """Write the state of counters that the segment does not have yet."""
        uncopied = self._uncopied
        if uncopied is None:
            return
        taken: dict[CounterId, None] = {}
        copies: list[Any] = []
        size_bytes = 0
        for id_ in reversed(uncopied):
            copy = _copies(book, (id_,))
            copies += copy
            taken[id_] = None
            size_bytes += len(_encode(copy))
            if size_bytes >= bytes_min:
                break
        self._segments.append(_encode(["copies", at, date, copies]))
        self._copied(taken, copies)
        if not uncopied:
            self._segments.append(_WHOLE)
            self._segments.remove_before(self._number)
            self._uncopied, self._state_bytes = None, self._copied_bytes

    def _copied(self, ids: Iterable[CounterId], copies: Sequence[Any]) -> None:
        if self._uncopied is not None and copies:
            self._copied_bytes += len(_encode(copies))
            for id_ in ids:
                del self._uncopied[id_]


def _key(id_: CounterId) -> tuple[str, str, str]:
    return (id_.organization, id_.name, id_.scope)


def _id(organization: str, name: str, scope: str) -> CounterId:
    return CounterId(OrganizationId(organization), name, scope)


def _copies(book: Book, ids: Iterable[CounterId]) -> list[Any]:
    """The whole state of counters; of those that are forgotten, that they are."""
    return [(*_key(id_), book.dump(id_)) for id_ in ids]


def _load(book: Book, copies: Sequence[Any], at: float) -> None:
    for *key, dump in copies:
        book.load(_id(*key), dump, at)
