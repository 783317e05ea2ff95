"""The chain: every head stands for all records up to it.

    digest = SHA-256(canonical bytes of the record)
    head   = SHA-256(head before || digest)

The first head of a chain is the SHA-256 of its format's name and its own, so that records of one
chain fit into no other. The digest stands between the record and the head so that a record's
content can be dropped when it has served its time while its digest goes on holding the chain
together (docs/decisions/0009-digests-in-the-chain.md).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

FORMAT = "helixflow-audit/1"
HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many records it has, and the hash that stands for all of them."""

    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A record in its place.

    Attributes:
        data: its canonical bytes.
        digest: of them.
        head: the chain's head with it; `head.sequence` is its number.
    """

    data: bytes
    digest: bytes
    head: Head


def beginning(chain: str) -> Head:
    """The head of a chain without records."""
    return Head(0, hashlib.sha256(f"{FORMAT}\n{chain}".encode()).digest())


def digest_of(data: bytes) -> bytes:
    """Of a record's canonical bytes."""
    return hashlib.sha256(data).digest()


def follow(head: bytes, digest: bytes) -> bytes:
    """The hash of the head after this one, with the record of this digest."""
    return hashlib.sha256(head + digest).digest()


def link(head: Head, data: bytes) -> Link:
    """The next record, which says itself that it is number `head.sequence + 1`."""
    digest = digest_of(data)
    return Link(data, digest, Head(head.sequence + 1, follow(head.hash, digest)))
