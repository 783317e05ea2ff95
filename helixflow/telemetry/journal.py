"""The bounded local journal of one process: what it recorded, until every sink has it.

A record that was appended is in the kernel: it survives the death of the process (`kill -9`), and
is lost only with the machine. Records are numbered from 1 without gaps. A segment is deleted once
everything in it was released.

Failure behavior: where a write fails (a full disk) or the journal holds its bound of bytes,
`append` says no and nothing of the record stays; a later one may succeed. A half-written record
that cannot be taken back is passed over on reading. For one thread; what `extent` returned may be
read in another one.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from helixflow.settings import JournalSettings
from helixflow.telemetry.journal_lock import JournalLock
from helixflow.telemetry.records import Codec
from helixflow.telemetry.segments import Extent, Segment, path_of, without

_log = logging.getLogger(__name__)


class Journal:
    """A journal that this process writes. Raises OSError where its folder cannot be made.

    Attributes:
        folder: its segments; called by its source.
        codec: how its records are written.
        last: the number of the last record; 0 before the first one.
        full: whether the last append was refused.
    """

    def __init__(self, root: Path, source: str, settings: JournalSettings) -> None:
        self._settings = settings
        self._lock = JournalLock.create(root, source)
        self.folder = self._lock.folder
        self.codec = Codec(source)
        self.last = 0
        self.full = False
        self._segments: list[Segment] = []
        self._bytes = 0
        self._file: int | None = None
        self._first = self._size = 0

    @property
    def extent(self) -> Extent:
        """What can be read right now."""
        if self._file is None:
            return Extent(tuple(self._segments), self.last)
        return Extent((*self._segments, Segment(self._first, self._size)), self.last)

    def append(self, payload: bytes) -> bool:
        """Write a record; False where there is no room for it.

        Raises ValueError for a payload over the bound of a record.
        """
        record = self.codec.encode(self.last + 1, payload)
        if self._bytes + len(record) > self._settings.bytes_max:
            return self._refuse("it holds its bound of bytes")
        try:
            self._write(record)
        except OSError as error:
            return self._refuse(error.strerror or str(error))
        self.last += 1
        if self.full:
            _log.info("the journal %s takes events again", self.folder.name)
            self.full = False
        if self._size >= self._settings.segment_bytes:
            self._seal()
        return True

    def release(self, up_to: int) -> list[Path]:
        """Give up the segments that hold nothing above a number; the caller deletes the files."""
        kept = set(without(self.extent, up_to).segments)
        gone = [segment for segment in self._segments if segment not in kept]
        self._segments = [segment for segment in self._segments if segment in kept]
        self._bytes -= sum(segment.size for segment in gone)
        return [path_of(self.folder, segment.first) for segment in gone]

    def close(self, released: int) -> None:
        """End it. Where everything was released, nothing stays of it; else others adopt it."""
        self._seal()
        if released >= self.last:
            self._lock.remove()
        else:
            self._lock.release()

    def _write(self, record: bytes) -> None:
        if self._file is None:
            path = path_of(self.folder, self.last + 1)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o600)
            self._first, self._size = self.last + 1, 0
        try:
            rest = record
            while rest:  # twice, where the disk fills up halfway: the second time says why
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            self._take_back()
            raise
        self._size += len(record)
        self._bytes += len(record)

    def _take_back(self) -> None:
        """Cut off what was written of a record; where that fails, go on in another segment."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._seal()

    def _seal(self) -> None:
        """End the segment that is written to."""
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):
            os.close(file)
        if self._size:
            self._segments.append(Segment(self._first, self._size))

    def _refuse(self, reason: str) -> bool:
        if not self.full:
            _log.error("the journal %s takes no more events: %s", self.folder.name, reason)
        self.full = True
        return False
