"""Messages between an Ingress and a door: a kind, a length, and that many bytes.

A connection carries one exchange at a time: one request (`UNARY` or `STREAM`), then any number of
`DATA` and exactly one `END`. `CANCEL` ends a request early: its `END` says what it had used. Closing
a connection cancels what it asked for as well, and nothing is said. `DATA` is the bytes of
a frame as they are, so that a chunk of a stream is neither encoded nor decoded; everything else is
MessagePack of the versioned tuples in `inference/`.

Failure behavior: what is no message of this protocol raises `Garbled`; the connection is then given
up, because nothing that follows can be trusted.
"""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec

from helixflow.inference.frame import FrameWire
from helixflow.inference.request import EngineRequestWire

PROTOCOL = 1
"""Part of a door's place: two versions that differ here do not see each other's doors."""

MESSAGE_BYTES_MAX = 64 * 1024 * 1024

_HEADER = struct.Struct(">BI")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Kind(IntEnum):
    """What a message is."""

    UNARY = 1
    STREAM = 2
    DATA = 3
    END = 4
    CANCEL = 5


KINDS = frozenset(map(int, Kind))


class Garbled(ConnectionError):
    """The other side does not speak this protocol."""


def pack_request(kind: Kind, wire: EngineRequestWire) -> bytes:
    """A request as a message."""
    payload = _encode(wire)
    return _HEADER.pack(kind, len(payload)) + payload


def pack_frame(wire: FrameWire) -> bytes:
    """A frame as a message: `DATA`, or `END` where it has a sidecar."""
    if wire[2] is None:
        return _HEADER.pack(Kind.DATA, len(wire[1])) + wire[1]
    payload = _encode(wire)
    return _HEADER.pack(Kind.END, len(payload)) + payload


def pack_cancel() -> bytes:
    """What ends the exchange that is under way on a connection."""
    return _HEADER.pack(Kind.CANCEL, 0)


def unpack_request(payload: bytes) -> EngineRequestWire:
    """What `pack_request` packed. Raises `Garbled`."""
    wire: EngineRequestWire = _table(payload)
    return wire


def unpack_end(payload: bytes) -> FrameWire:
    """The frame with a sidecar that `pack_frame` packed. Raises `Garbled`."""
    wire: FrameWire = _table(payload)
    return wire


def _table(payload: bytes) -> tuple:  # type: ignore[type-arg]
    try:
        return tuple(_decode(payload))
    except (msgspec.DecodeError, TypeError) as error:
        raise Garbled("a message does not hold what its kind says") from error


class Cutter:
    """Cuts what arrives into messages; what is not complete yet waits for the rest."""

    __slots__ = ("_due", "_held")

    def __init__(self) -> None:
        self._held = bytearray()
        self._due = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that are complete with `data`, as `(kind, payload)`. Raises `Garbled`."""
        if not self._held:
            whole: bytes | bytearray = data
        else:
            self._held += data
            if len(self._held) < self._due:
                return []
            whole = self._held
        found, begin = self._cut(whole)
        self._held = bytearray(whole[begin:])
        return found

    def _cut(self, whole: bytes | bytearray) -> tuple[list[tuple[int, bytes]], int]:
        """The complete messages, and where the next one begins."""
        found: list[tuple[int, bytes]] = []
        begin, end = 0, len(whole)
        while True:
            start = begin + _HEADER.size
            if start > end:
                self._due = _HEADER.size
                return found, begin
            kind, length = _HEADER.unpack_from(whole, begin)
            if kind not in KINDS or length > MESSAGE_BYTES_MAX:
                raise Garbled("the other side does not speak this protocol")
            if start + length > end:
                self._due = _HEADER.size + length
                return found, begin
            begin = start + length
            found.append((kind, bytes(whole[start:begin])))
