"""Records and chains to draw from."""

from __future__ import annotations

from hypothesis import strategies as st

from helixflow.crypto.ed25519 import SigningSeed
from helixflow.telemetry.audit.canonical import encode
from helixflow.telemetry.audit.chain import Head, Link, beginning, link
from helixflow.telemetry.audit.lines import end_line, header_line, record_line
from helixflow.telemetry.audit.record import Kind, Outcome, Part, Record
from helixflow.telemetry.audit.seals import seal_head

CHAIN = "org_one"
SEED = SigningSeed(b"s" * 32)

words = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(0, 2**53)
values = st.one_of(st.none(), st.booleans(), numbers, words)
fields = st.dictionaries(words, values, max_size=3)
parts = st.builds(Part, id=words, index=words, sealed=words)


def records() -> st.SearchStrategy[Record]:
    return st.builds(
        Record, action=words, actor=parts, after=fields, at_ms=numbers, before=fields, chain=words,
        count=numbers, id=words, kind=st.sampled_from(Kind), outcome=st.sampled_from(Outcome),
        project=words, reason=words, request=words, sequence=numbers, target=parts,
        until_ms=numbers,
    )  # fmt: skip


def some_record(number: int, *, chain: str = CHAIN, name: str = "") -> Record:
    """A small record for place `number`."""
    return Record(
        "project:key:create", Part(id="system"), at_ms=1_800_000_000_000 + number, chain=chain,
        id=f"audit_{name}{number}", sequence=number, target=Part(id=f"key_{number}"),
    )  # fmt: skip


def linked(count: int, name: str = "") -> list[Link]:
    """The first links of a chain."""
    head, links = beginning(CHAIN), []
    for number in range(1, count + 1):
        links.append(link(head, encode(some_record(number, name=name))))
        head = links[-1].head
    return links


def written(links: list[Link], seal_every: int = 0, seed: SigningSeed = SEED) -> list[bytes]:
    """A whole export of a chain, with a seal after every so many records."""
    lines = [header_line(CHAIN, beginning(CHAIN), seed.public)]
    head = beginning(CHAIN)
    for one in links:
        head = one.head
        lines.append(record_line(head.hash, one.data))
        if seal_every and head.sequence % seal_every == 0:
            lines.append(sealed(head, seed))
    return [*lines, sealed(head, seed), end_line(len(links))]


def sealed(head: Head, seed: SigningSeed = SEED) -> bytes:
    return seal_head(seed, CHAIN, head, 1_800_000_000_000).line + b"\n"
