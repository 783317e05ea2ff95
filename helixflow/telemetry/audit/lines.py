"""The lines of an export, made and taken apart byte by byte.

    {"header":{"chain":"org_...","format":"helixflow-audit/1","head":"<64 hex>","public":"<64 hex>","sequence":0}}
    {"hash":"<64 hex>","record":{...}}                                    a record, canonical.py
    {"hash":"<64 hex>","digest":"<64 hex>","checkpoint":7}                a record whose content was dropped
    {"public":"<64 hex>","signature":"<128 hex>","seal":{...}}            a seal, seals.py
    {"end":{"records":123}}

`hash` is the head with the record. Each line ends with a line feed. What stands before the
canonical bytes of a record has always the same length, so that they can be cut out.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from helixflow.telemetry.audit.chain import FORMAT, Head
from helixflow.telemetry.audit.seals import unhex

T = TypeVar("T")

LINE_BYTES_MAX = 1024 * 1024
HASH_PREFIX = b'{"hash":"'
HASH = slice(len(HASH_PREFIX), len(HASH_PREFIX) + 64)
_AFTER_RECORD = b'","record":'
_AFTER_DROPPED = b'","digest":"'
KIND = slice(HASH.stop, HASH.stop + len(_AFTER_RECORD))
RECORD = slice(KIND.stop, -2)
_DIGEST = slice(HASH.stop + len(_AFTER_DROPPED), HASH.stop + len(_AFTER_DROPPED) + 64)
IS_RECORD = _AFTER_RECORD
ENDING = b"}\n"
_NUMBER = b'","checkpoint":'
_DIGITS_MAX = 18


class NotALine(ValueError):
    """It is none of the lines that an export has."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an export begins. The fields are in the order of their names.

    Attributes:
        chain: which chain.
        format: `chain.FORMAT`.
        head: before the first record of the file, 64 hexadecimal digits.
        public: the raw public key of the seal at the file's end, 64 hexadecimal digits.
        sequence: how many records the chain has before the first one of the file.
    """

    chain: str
    format: str
    head: str
    public: str
    sequence: int


class _HeaderLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    header: Header


class _End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    records: int


class _EndLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    end: _End


def header_line(chain: str, head: Head, public: bytes) -> bytes:
    """The first line of a file whose records come after `head`."""
    header = Header(chain, FORMAT, head.hash.hex(), public.hex(), head.sequence)
    return msgspec.json.encode(_HeaderLine(header)) + b"\n"


def record_line(hash_: bytes, data: bytes) -> bytes:
    """A record; `hash_` is the head with it."""
    return b"".join((HASH_PREFIX, hash_.hex().encode(), _AFTER_RECORD, data, ENDING))


def dropped_line(hash_: bytes, digest: bytes, checkpoint: int) -> bytes:
    """A record whose content was dropped by a checkpoint of this number."""
    number = str(checkpoint).encode()
    return b"".join(
        (
            HASH_PREFIX, hash_.hex().encode(), _AFTER_DROPPED, digest.hex().encode(), _NUMBER,
            number, ENDING,
        )
    )  # fmt: skip


def end_line(records: int) -> bytes:
    """The last line."""
    return msgspec.json.encode(_EndLine(_End(records))) + b"\n"


def read_header(line: bytes) -> Header:
    """Raises `NotALine` for anything but a header in its only form."""
    header = _read(line, _HeaderLine).header
    try:
        unhex(header.head.encode())
        unhex(header.public.encode())
    except ValueError:
        raise NotALine("its head and its public key are 64 hexadecimal digits each") from None
    return header


def read_dropped(line: bytes) -> tuple[bytes, int]:
    """`(digest, checkpoint)` of a record without content. Raises `NotALine`."""
    digits = line[_DIGEST.stop + len(_NUMBER) : -len(ENDING)]
    try:
        digest = unhex(line[_DIGEST])
        if not digits.isdigit() or len(digits) > _DIGITS_MAX:
            raise ValueError
        hash_, number = unhex(line[HASH]), int(digits)
    except ValueError:
        raise NotALine("it is no record") from None
    if dropped_line(hash_, digest, number) != line:
        raise NotALine("it is no record")
    return digest, number


def read_end(line: bytes) -> int:
    """How many records the file says it has. Raises `NotALine`."""
    return _read(line, _EndLine).end.records


def _read(line: bytes, kind: type[T]) -> T:
    try:
        told = msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotALine("it is none of the lines that an export has") from None
    if msgspec.json.encode(told) + b"\n" != line:
        raise NotALine("it is not in its only form")
    return told
