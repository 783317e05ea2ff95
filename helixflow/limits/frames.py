"""Checksummed records in a file: a frame is a length, its checksum, the payload's checksum, the payload.

A process that is killed leaves at most one frame cut short at the end (`torn`): nobody was answered
for it. Anything else that does not add up is damage: what follows cannot be trusted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_HEAD = struct.Struct("<III")
_LENGTH = struct.Struct("<I")


class Fault(StrEnum):
    """What is wrong with the end of a file."""

    DAMAGED = "damaged"
    TORN = "torn"


@dataclass(slots=True)
class Reading:
    """How far a file was read, and why no further.

    Attributes:
        good_bytes: the size of the part that can be trusted.
        fault: what comes after it, if anything does.
    """

    good_bytes: int = 0
    fault: Fault | None = None


def frame(payload: bytes) -> bytes:
    """A payload, not empty, as it is written."""
    length = _LENGTH.pack(len(payload))
    return _HEAD.pack(len(payload), zlib.crc32(length), zlib.crc32(payload)) + payload


def read_frames(path: Path, reading: Reading) -> Iterator[bytes]:
    """The payloads of a file, in order; `reading` says how it went once all are read."""
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                reading.fault = Fault.TORN
                return
            length, length_sum, payload_sum = _HEAD.unpack(head)
            if not length or zlib.crc32(_LENGTH.pack(length)) != length_sum:
                reading.fault = Fault.DAMAGED
                return
            payload = file.read(length)
            if len(payload) < length:
                reading.fault = Fault.TORN
                return
            if zlib.crc32(payload) != payload_sum:
                reading.fault = Fault.DAMAGED
                return
            reading.good_bytes += _HEAD.size + length
            yield payload
