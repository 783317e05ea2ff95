"""The files of a journal: how they are called, and reading events back from them.

A journal is a folder with the name of its source. Each segment is called by the number of the first
record that was to be written to it.

Failure behavior: what is damaged is passed over, and shows as a gap in the numbers. A segment that
is gone, or that the disk cannot read, is passed over too; any other fault is raised as OSError.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helixflow.telemetry.records import RECORD_BYTES_MAX, Codec, Record

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 4 * RECORD_BYTES_MAX
_SUFFIX = ".events"


@dataclass(frozen=True, slots=True)
class Segment:
    """Attributes: `first` the number of its first record; `size` bytes that are whole."""

    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a journal goes at some moment.

    Attributes:
        segments: in order.
        last: the number of the last record.
    """

    segments: tuple[Segment, ...] = ()
    last: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading goes on: behind the record `after`, in a segment, at an offset."""

    after: int
    first: int
    offset: int


@dataclass(frozen=True, slots=True)
class Found:
    """Events that stand one behind the other.

    Attributes:
        after: what was asked for: those behind this number.
        last: the number of the last one; `after` where nothing is left.
        events: encoded; the first is number `last - len(events) + 1`.
        place: where reading goes on.
    """

    after: int
    last: int
    events: tuple[bytes, ...]
    place: Place


def path_of(folder: Path, first: int) -> Path:
    """Where the segment lies that begins with this number."""
    return folder / f"{first:020d}{_SUFFIX}"


def survey(folder: Path, codec: Codec) -> Extent:
    """What lies in the folder of a source whose writer is dead. Raises OSError."""
    found = [
        Segment(int(path.stem), path.stat().st_size)
        for path in folder.glob(f"*{_SUFFIX}")
        if path.stem.isdecimal()
    ]
    segments = tuple(sorted(found, key=lambda segment: segment.first))
    if not segments:
        return Extent()
    last = segments[-1].first - 1
    for record, _ in _within(folder, codec, segments[-1], 0, last):
        last = record.sequence
    return Extent(segments, last)


def read(
    folder: Path, codec: Codec, extent: Extent, place: Place, events_max: int, bytes_max: int
) -> Found:
    """The next events behind `place`, up to a gap or a bound. Raises OSError."""
    after, last, size = place.after, place.after, 0
    events: list[bytes] = []
    first, offset = place.first, place.offset
    for record, segment, behind in _records(folder, codec, extent, place):
        payload, sequence = record.payload, record.sequence
        size += len(payload)
        if events and (sequence != last + 1 or size > bytes_max):
            break
        events.append(payload)
        last, first, offset = sequence, segment, behind
        if len(events) == events_max:
            break
    if not events:
        last = max(last, extent.last)  # what was written is not there any more
    return Found(after, last, tuple(events), Place(last, first, offset))


def without(extent: Extent, up_to: int) -> Extent:
    """What is left of an extent where events up to a number are not wanted any more."""
    behind = [segment.first for segment in extent.segments[1:]] + [extent.last + 1]
    kept = tuple(
        segment
        for segment, first in zip(extent.segments, behind, strict=False)
        if first > up_to + 1
    )
    return Extent(kept, extent.last)


def start(extent: Extent, after: int) -> Place:
    """Where to begin to read behind a number."""
    firsts = [segment.first for segment in extent.segments if segment.first <= after + 1]
    return Place(after, max(firsts, default=0), 0)


def _records(
    folder: Path, codec: Codec, extent: Extent, place: Place
) -> Iterator[tuple[Record, int, int]]:
    """The records behind a place, each with its segment and the offset behind it there."""
    after = place.after
    for segment in extent.segments:
        if segment.first < place.first:
            continue
        offset = place.offset if segment.first == place.first else 0
        for record, end in _within(folder, codec, segment, offset, after):
            after = record.sequence
            yield record, segment.first, end


def _within(
    folder: Path, codec: Codec, segment: Segment, offset: int, after: int
) -> Iterator[tuple[Record, int]]:
    """The records of a segment, each with the offset behind it."""
    if offset >= segment.size:
        return
    try:
        file = os.open(path_of(folder, segment.first), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        while offset < segment.size:
            wanted = min(_CHUNK_BYTES, segment.size - offset)
            data = os.pread(file, wanted, offset)
            final = len(data) < wanted or offset + wanted == segment.size
            consumed = 0
            for record in codec.scan(data, after, final=final):
                after, consumed = record.sequence, record.end
                yield record, offset + consumed
            if final:
                return
            # Where all of a chunk is damaged, a record may still begin at its end.
            offset += consumed or len(data) - RECORD_BYTES_MAX
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        _log.error("a segment of a journal cannot be read; its events are lost", exc_info=error)
    finally:
        os.close(file)
