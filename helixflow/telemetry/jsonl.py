"""Events as files: one JSON object a line, a file per day and per `file_bytes_max`.

    events/2026-01-31.000000.jsonl   {"kind": ..., "at": ..., "id": ..., "facts": {...}, ...}
    events/marks.json                how far each source is, and how much of the last file counts

Failure behavior: lines are on the disk (fsync) before the marks that speak for them, which are put
in place in one step; what a crash leaves behind the marks is cut off at the next start, and comes
again. Files older than `days_max` days are deleted. Marks of sources that wrote nothing for long
are given up, the oldest first, when there are more than `_SOURCES_MAX`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from helixflow.clock import Clock
from helixflow.settings import JsonlSettings
from helixflow.signals import Event

_MARKS = "marks.json"
_SOURCES_MAX = 1000
_encode = msgspec.json.Encoder().encode


class _Marks(msgspec.Struct):
    """What is committed: the current file, how much of it counts, and each source's last number."""

    file: str = ""
    size: int = 0
    sources: dict[str, int] = {}


class JsonlSink:
    """`Sink` that writes files. Nobody else writes to its folder.

    Raises OSError where the folder cannot be read, ValueError where its marks are damaged.
    """

    name = "jsonl"

    def __init__(self, folder: Path, settings: JsonlSettings, clock: Clock) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock
        # A write whose caller gave up may still be under way in its thread.
        self._writing = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._marks = _read_marks(folder / _MARKS)
        self._cut()

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        return self._marks.sources.get(source, 0)

    async def write(self, source: str, last: int, events: Sequence[Event]) -> None:
        """See `Sink.write`."""
        await asyncio.to_thread(self._commit, source, last, events)

    def _commit(self, source: str, last: int, events: Sequence[Event]) -> None:
        with self._writing:
            marks = self._marks
            sources = dict(marks.sources)
            held = sources.pop(source, 0)
            first = last - len(events) + 1
            lines = b"".join(
                _line(source, number, event)
                for number, event in enumerate(events, first)
                if number > held
            )
            file, size = self._current(marks, len(lines))
            if lines:
                _append(self._folder / file, size, lines)
            sources[source] = max(last, held)
            while len(sources) > _SOURCES_MAX:
                del sources[next(iter(sources))]
            self._marks = _Marks(file, size + len(lines), sources)
            try:
                _replace(self._folder / _MARKS, _encode(self._marks))
            except OSError:
                self._marks = marks
                raise
            if file != marks.file:
                self._delete_old()

    def _current(self, marks: _Marks, coming: int) -> tuple[str, int]:
        """The file to write to, and how much of it counts; names only ever rise."""
        day, _, turn = marks.file.partition(".")
        today = _day(self._clock.now()).isoformat()
        if today > day:
            return _name(today, 0), 0
        if marks.size and marks.size + coming > self._settings.file_bytes_max:
            return _name(day, int(turn.partition(".")[0]) + 1), 0
        return marks.file, marks.size

    def _cut(self) -> None:
        """Take away what was written but never committed."""
        for path in self._folder.glob("*.jsonl"):
            if path.name > self._marks.file:
                path.unlink()
            elif path.name == self._marks.file:
                os.truncate(path, self._marks.size)

    def _delete_old(self) -> None:
        oldest = _day(self._clock.now()) - timedelta(days=self._settings.days_max)
        for path in self._folder.glob("*.jsonl"):
            if path.name < oldest.isoformat():
                path.unlink()


def _read_marks(path: Path) -> _Marks:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Marks)
    except FileNotFoundError:
        return _Marks()


def _line(source: str, number: int, event: Event) -> bytes:
    row = {
        "kind": event.kind.value,
        "at": event.at,
        "id": event.id,
        "facts": dict(event.facts),
        "source": source,
        "sequence": number,
    }
    return _encode(row) + b"\n"


def _name(day: str, turn: int) -> str:
    return f"{day}.{turn:06d}.jsonl"


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _append(path: Path, size: int, data: bytes) -> None:
    """Let the file hold `data` behind its first `size` bytes, on the disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(file, size)
        os.lseek(file, size, os.SEEK_SET)
        _write(file, data)
    finally:
        os.close(file)
    if not size:
        _sync_folder(path.parent)


def _replace(path: Path, data: bytes) -> None:
    """Let the file hold `data` and nothing else, in one step, on the disk."""
    unfinished = path.with_suffix(".unfinished")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write(file, data)
    finally:
        os.close(file)
    unfinished.rename(path)
    _sync_folder(path.parent)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
