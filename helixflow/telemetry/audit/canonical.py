"""The one form in bytes of a record: what is hashed, stored and exported.

JSON with the names of every object in their order, no white space, only what must be escaped
escaped, and no fields that have their default: what Python's `json.dumps(value, sort_keys=True,
ensure_ascii=False, separators=(",", ":"))` writes in UTF-8. Two records never share their bytes.
"""

from __future__ import annotations

import msgspec

from helixflow.telemetry.audit.record import Record

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Record)


class NotCanonical(ValueError):
    """These bytes are no record, or not its canonical form."""


def encode(record: Record) -> bytes:
    """The record's bytes. Raises `ValueError` for text that is no Unicode (half a surrogate)."""
    return _encoder.encode(record)


def decode(data: bytes) -> Record:
    """The record of these bytes. Raises `NotCanonical` for any other form of it, too."""
    try:
        record = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotCanonical("it is no record") from None
    if _encoder.encode(record) != data:
        raise NotCanonical("it is not in canonical form")
    return record
