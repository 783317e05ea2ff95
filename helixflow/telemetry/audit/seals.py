"""Seals: heads that the platform signed, and what it signs when it deletes.

A statement is canonical JSON; signed are the bytes `helixflow-audit-seal/1`, a line feed, and the
statement. A seal's line holds them so that the statement's bytes can be cut out as they are:

    {"public":"<64 hex>","signature":"<128 hex>","seal":{...}}

There are three kinds. A `seal` says: after record `sequence` the head was `head`. A `checkpoint`
says besides: of the records from `first` to `sequence` the contents of `count` were dropped, which
had served their time. A `begin` says: the records up to `sequence` are gone, the chain goes on from
`head`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from helixflow.crypto.ed25519 import PublicKey, SigningSeed
from helixflow.telemetry.audit.chain import Head

SEED_PURPOSE = "audit-seal"
"""What the signing seed is derived for from the master key."""

PREFIX = b'{"public":"'
_MIDDLE = b'","signature":"'
_BEFORE = b'","seal":'
_DOMAIN = b"helixflow-audit-seal/1\n"
_KEY = slice(len(PREFIX), len(PREFIX) + 64)
_FIRST_GAP = slice(_KEY.stop, _KEY.stop + len(_MIDDLE))
_SIGNATURE = slice(_FIRST_GAP.stop, _FIRST_GAP.stop + 128)
_SECOND_GAP = slice(_SIGNATURE.stop, _SIGNATURE.stop + len(_BEFORE))


class StatementKind(StrEnum):
    """See the module."""

    BEGIN = "begin"
    CHECKPOINT = "checkpoint"
    SEAL = "seal"


class Statement(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is signed. The fields are in the order of their names.

    Attributes:
        at_ms: when it was signed, epoch milliseconds.
        chain: which chain.
        count: of a checkpoint: how many contents were dropped.
        first: of a checkpoint: where that begins.
        head: 64 hexadecimal digits.
        kind: see the module.
        number: of a checkpoint: by what dropped records name it.
        of: of a checkpoint: which kind of records.
        sequence: the record after which the head is `head`.
    """

    at_ms: int
    chain: str
    count: int = 0
    first: int = 0
    head: str = ""
    kind: StatementKind = StatementKind.SEAL
    number: int = 0
    of: str = ""
    sequence: int = 0


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Statement)


class NotASeal(ValueError):
    """A line is no seal, or its signature is not that of its key."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A signed statement.

    Attributes:
        public: the raw public key that it was signed with.
        line: the whole, as files and the database have it; without a line feed.
    """

    statement: Statement
    public: bytes
    line: bytes


def seal(seed: SigningSeed, statement: Statement) -> Seal:
    """Sign a statement."""
    data = _encoder.encode(statement)
    signature = seed.sign(_DOMAIN + data)
    line = b"".join(
        (
            PREFIX, seed.public.hex().encode(), _MIDDLE, signature.hex().encode(), _BEFORE, data,
            b"}",
        )
    )  # fmt: skip
    return Seal(statement, seed.public, line)


def seal_head(seed: SigningSeed, chain: str, head: Head, at_ms: int) -> Seal:
    """Sign the end of a chain."""
    return seal(seed, Statement(at_ms, chain, head=head.hash.hex(), sequence=head.sequence))


def read_seal(line: bytes) -> Seal:
    """The seal of a line, its signature checked. Raises `NotASeal`."""
    data = line[_SECOND_GAP.stop : -1]
    if (
        not line.startswith(PREFIX)
        or line[_FIRST_GAP] != _MIDDLE
        or line[_SECOND_GAP] != _BEFORE
        or line[-1:] != b"}"
    ):
        raise NotASeal("it is no seal")
    try:
        public, signature = unhex(line[_KEY]), unhex(line[_SIGNATURE])
        statement = _decoder.decode(data)
        genuine = PublicKey(public).verifies(_DOMAIN + data, signature)
    except ValueError:  # msgspec's errors are ValueErrors
        raise NotASeal("it is no seal") from None
    if not genuine:
        raise NotASeal("its signature is not that of its key")
    return Seal(statement, public, line)


def unhex(digits: bytes) -> bytes:
    """The bytes of lower-case hexadecimal digits. Raises `ValueError` for any other form."""
    data = bytes.fromhex(digits.decode("ascii"))
    if data.hex().encode() != digits:
        raise ValueError("not in lower-case hexadecimal digits")
    return data


def seals_among(lines: Iterable[bytes]) -> Iterator[Seal]:
    """The seals among the lines of a file: of a file of seals, or of an export. Raises `NotASeal`."""
    for line in lines:
        if line.startswith(PREFIX):
            yield read_seal(line.rstrip(b"\r\n"))
