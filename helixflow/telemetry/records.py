"""How a journal's records look as bytes, and how they are read back from damaged ones. Pure.

    magic 2 | digest 8 | length 4 | sequence 8 | payload

The digest is a BLAKE2b under the source's random id over all that follows it. So no bytes inside a
payload, whoever chose them, can pass for a record of their own when reading goes on behind damage.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

PAYLOAD_BYTES_MAX = 64 * 1024

_MAGIC = b"\xd7\x48"
_DIGEST_BYTES = 8
_HEAD = struct.Struct("<IQ")
_BODY = len(_MAGIC) + _DIGEST_BYTES
OVERHEAD_BYTES = _BODY + _HEAD.size
RECORD_BYTES_MAX = OVERHEAD_BYTES + PAYLOAD_BYTES_MAX


class Record(NamedTuple):
    """Attributes: `sequence` and `payload`; `end` is the offset behind it in what was read."""

    sequence: int
    payload: bytes
    end: int


class Codec:
    """Writes and reads the records of one source."""

    def __init__(self, source: str) -> None:
        self._hash = blake2b(key=source.encode()[:64], digest_size=_DIGEST_BYTES)

    def encode(self, sequence: int, payload: bytes) -> bytes:
        """The bytes of a record. Raises ValueError for a payload over the bound."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"a record holds at most {PAYLOAD_BYTES_MAX} bytes")
        body = _HEAD.pack(len(payload), sequence) + payload
        return _MAGIC + self._digest(body) + body

    def scan(self, data: bytes, after: int, *, final: bool) -> Iterator[Record]:
        """The whole records in `data` with rising numbers above `after`, in order.

        What is damaged is passed over. Where `data` is not the end of a file (`final`), a record
        that reaches beyond it ends the scan: read on from the last one's `end`.
        """
        at = 0
        while at + OVERHEAD_BYTES <= len(data):
            if not data.startswith(_MAGIC, at):
                at = _next(data, at)
                continue
            length, sequence = _HEAD.unpack_from(data, at + _BODY)
            end = at + OVERHEAD_BYTES + length
            if length <= PAYLOAD_BYTES_MAX and end > len(data) and not final:
                return
            if length > PAYLOAD_BYTES_MAX or end > len(data) or not self._holds(data, at, end):
                at = _next(data, at + 1)
                continue
            if sequence > after:
                after = sequence
                yield Record(sequence, data[at + OVERHEAD_BYTES : end], end)
            at = end

    def _holds(self, data: bytes, at: int, end: int) -> bool:
        return data.startswith(self._digest(data[at + _BODY : end]), at + len(_MAGIC))

    def _digest(self, body: bytes) -> bytes:
        state = self._hash.copy()
        state.update(body)
        return state.digest()


def _next(data: bytes, at: int) -> int:
    """Where the next record may begin, at or behind `at`."""
    found = data.find(_MAGIC, at)
    return len(data) if found < 0 else found
