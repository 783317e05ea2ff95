"""How events are written down and how batches travel: versioned, plain, no pickled objects.

An event is a MessagePack array; a batch's events are one MessagePack array of those, made by
joining the bytes that the journal holds, so that nothing is encoded twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from helixflow.signals import Event, EventKind, Fact

BatchWire: TypeAlias = tuple[int, str, str, int, int, bytes, int, bytes, bool]
"""`(version, source, role, after, last, events, deltas_number, deltas, closing)`.

The events are the last ones up to number `last`; what is missing between `after` and their first is
lost. `deltas` are numbered per source from 1 (0: there are none). `closing` says that the process
ends, or is gone.
"""

AckWire: TypeAlias = tuple[int, int, int]
"""`(version, wanted, durable)`: every sink has the events up to `durable`; the source goes on with
those after `wanted`, which may lie before what it sent already."""

VERSION = 1

_EventRow: TypeAlias = tuple[int, EventKind, float, str, dict[str, Fact]]

_encode = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(_EventRow).decode
_decode_rows = msgspec.msgpack.Decoder(list[_EventRow]).decode
_decode_raw = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class Unreadable(bytes):
    """An event that this version cannot read, as it came."""


def encode_event(event: Event) -> bytes:
    """An event as bytes. Raises TypeError or ValueError where a fact is none."""
    facts = event.facts
    if type(facts) is not dict:
        facts = dict(facts)
    return _encode((VERSION, event.kind, event.at, event.id, facts))


def decode_event(data: bytes) -> Event:
    """The event that `encode_event` wrote. Raises ValueError for anything else."""
    return _event(_decode_row(data))


def join(events: Sequence[bytes]) -> bytes:
    """Encoded events as the body of a batch."""
    return b"\xdd" + len(events).to_bytes(4, "big") + b"".join(events)


def split(body: bytes) -> list[Event | Unreadable]:
    """The events of a batch's body. Raises ValueError where it is no such body."""
    try:
        return [_event(row) for row in _decode_rows(body)]
    except ValueError:
        return [_read(bytes(raw)) for raw in _decode_raw(body)]


def _event(row: _EventRow) -> Event:
    _, kind, at, event_id, facts = row
    return Event(kind, at, event_id, facts)


def _read(raw: bytes) -> Event | Unreadable:
    try:
        return decode_event(raw)
    except ValueError:
        return Unreadable(raw)
