"""Is this export what the platform wrote? Offline, line by line, in memory that does not grow.

What is checked, in this order, and what the first `Broken` then says:

- every line is one of an export's, in its only form;
- each record names this chain, and its number follows from the one before;
- its hash follows from the head before it and from its content;
- what was dropped was dropped by a signed checkpoint;
- every seal in the file is signed by its key, a trusted one if any are given, and says the head;
- the file ends with a seal over its last record, and with the count of its records;
- every held seal (one that the verifier got earlier, another way) says the head of its place.

Failure behavior: `Broken` names the record and the line where the first thing is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from helixflow.errors import HelixFlowError
from helixflow.telemetry.audit import canonical, lines
from helixflow.telemetry.audit.chain import FORMAT, beginning
from helixflow.telemetry.audit.seals import (
    PREFIX,
    NotASeal,
    Seal,
    Statement,
    StatementKind,
    read_seal,
)

_CHECKPOINTS_MAX = 10_000


class Broken(HelixFlowError):
    """The file is not what the platform wrote.

    Attributes:
        sequence: the number of the first record that is wrong; 0 where it is before all records.
        line: where in the file.
        what: what is wrong.
    """

    def __init__(self, sequence: int, line: int, what: str) -> None:
        super().__init__(f"record {sequence} (line {line}): {what}")
        self.sequence = sequence
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class Report:
    """What was found good.

    Attributes:
        chain: which chain.
        first, last: the numbers of its records in the file; `last` is `first - 1` for none.
        head: after the last one, hexadecimal.
        records: how many they are; `dropped` of them have no content any more.
        seals: how many there are in the file.
        sealed_at_ms: when the one over the last record was signed.
        held: how many held seals were compared; `not_compared` are from before the file begins,
            or of other chains.
        keys: the public keys that signed, hexadecimal.
        pinned: whether the verifier knew them before.
    """

    chain: str
    first: int
    last: int
    head: str
    records: int
    dropped: int
    seals: int
    sealed_at_ms: int
    held: int
    not_compared: int
    keys: tuple[str, ...]
    pinned: bool


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, none longer than `LINE_BYTES_MAX` (what is longer breaks in two)."""
    while line := file.readline(lines.LINE_BYTES_MAX):
        yield line


def verify(
    export: Iterable[bytes], held: Iterable[Seal] = (), trusted: Iterable[bytes] = ()
) -> Report:
    """Check an export.

    Args:
        export: its lines with their line feeds.
        held: seals that were kept from earlier; their keys are trusted.
        trusted: raw public keys. Without any, and without held seals, the file is checked against
            the keys that it names itself.

    Raises `Broken`.
    """
    verifier = _Verifier(held, trusted)
    for line in export:
        verifier.take(line)
    return verifier.report()


class _Verifier:
    """One pass over a file."""

    def __init__(self, held: Iterable[Seal], trusted: Iterable[bytes]) -> None:
        kept = list(held)
        self._trusted = {*trusted, *(seal.public for seal in kept)}
        self._held = kept
        self._line = 0
        self._chain: str | None = None
        self._public = b""
        self._base = self._sequence = 0
        self._head = b""
        self._dropped = self._seals = self._compared = 0
        self._keys: dict[bytes, None] = {}
        self._last_seal: Statement | None = None
        self._end: int | None = None
        self._begins = False
        self._open: dict[int, list[int]] = {}  # checkpoint: [first, last, contents still to come]
        self._due: dict[int, list[Statement]] = defaultdict(list)  # heads that are yet to come
        self._due_held: dict[int, list[str]] = defaultdict(list)

    def take(self, line: bytes) -> None:
        """The next line. Raises `Broken`."""
        self._line += 1
        if line.startswith(lines.HASH_PREFIX) and self._chain is not None and self._end is None:
            self._record(line)
        elif self._end is not None:
            raise self._broken("there is more after the end")
        elif self._chain is None:
            self._header(line)
        elif line.startswith(PREFIX):
            self._seal(line)
        else:
            try:
                self._end = lines.read_end(line)
            except lines.NotALine as error:
                raise self._broken(str(error), self._sequence + 1) from None

    def report(self) -> Report:
        """What is left to say at the end. Raises `Broken`."""
        records = self._sequence - self._base
        if self._chain is None or self._end is None:
            raise self._broken("the file breaks off here: its end is missing")
        if self._end != records:
            raise self._broken(f"the file says that it has {self._end} records, and has {records}")
        last = self._last_seal
        if last is None or last.sequence != self._sequence:
            raise self._broken("no seal in the file is over its last record")
        if late := sorted(number for number in self._due_held if number > self._sequence):
            raise self._broken(
                f"the records up to {late[-1]} are missing: a held seal is over them", late[0]
            )
        return Report(
            chain=self._chain, first=self._base + 1, last=self._sequence, head=self._head.hex(),
            records=records, dropped=self._dropped, seals=self._seals, sealed_at_ms=last.at_ms,
            held=self._compared, not_compared=len(self._held) - self._compared,
            keys=tuple(key.hex() for key in self._keys), pinned=bool(self._trusted),
        )  # fmt: skip

    def _header(self, line: bytes) -> None:
        try:
            header = lines.read_header(line)
        except lines.NotALine as error:
            raise self._broken(f"this is no export: {error}") from None
        if header.format != FORMAT:
            raise self._broken(f"its format is {header.format!r}; known here is {FORMAT!r}")
        self._chain, self._public = header.chain, bytes.fromhex(header.public)
        self._base = self._sequence = header.sequence
        self._head = bytes.fromhex(header.head)
        first = beginning(header.chain)
        if header.sequence < 0 or (header.sequence == 0 and self._head != first.hash):
            raise self._broken("the file does not begin with this chain's first head")
        for seal in self._held:
            told = seal.statement
            if told.chain == self._chain and told.sequence >= self._base:
                self._due_held[told.sequence].append(told.head)
        self._compare_held(self._base)

    def _record(self, line: bytes) -> None:
        sequence = self._sequence + 1
        if self._base and not self._begins:
            raise self._broken("no seal in the file vouches for the head that it begins with")
        if line[lines.KIND] == lines.IS_RECORD and line[-2:] == lines.ENDING:
            data = line[lines.RECORD]
            try:
                record = canonical.decode(data)
            except canonical.NotCanonical as error:
                raise self._broken(str(error), sequence) from None
            if record.sequence != sequence or record.chain != self._chain:
                raise self._out_of_place(record.chain, record.sequence)
            digest = sha256(data).digest()
        else:
            digest = self._take_dropped(line, sequence)
        head = sha256(self._head + digest).digest()
        if head.hex().encode() != line[lines.HASH]:
            raise self._broken(_CHANGED.format(before=sequence - 1), sequence)
        self._head, self._sequence = head, sequence
        if sequence in self._due:
            self._close_checkpoints(sequence)
        if sequence in self._due_held:
            self._compare_held(sequence)

    def _out_of_place(self, chain: str, sequence: int) -> Broken:
        expected = self._sequence + 1
        if chain != self._chain:
            return self._broken(f"it belongs to the chain {chain!r}", expected)
        if sequence > expected:
            missing = f"{expected}" if sequence == expected + 1 else f"{expected} to {sequence - 1}"
            return self._broken(
                f"it is missing: after {self._sequence} comes {sequence}"
                f" ({missing} removed, or records out of order)",
                expected,
            )
        return self._broken(
            f"in its place stands record {sequence}: inserted, repeated or out of order", expected
        )

    def _take_dropped(self, line: bytes, sequence: int) -> bytes:
        try:
            digest, number = lines.read_dropped(line)
        except lines.NotALine as error:
            raise self._broken(str(error), sequence) from None
        checkpoint = self._open.get(number)
        if checkpoint is None or not checkpoint[0] <= sequence <= checkpoint[1]:
            raise self._broken("its content is gone, and no checkpoint says so", sequence)
        checkpoint[2] -= 1
        self._dropped += 1
        return digest

    def _seal(self, line: bytes) -> None:
        try:
            if line[-1:] != b"\n":
                raise NotASeal("it is cut off")
            seal = read_seal(line[:-1])
        except NotASeal as error:
            raise self._broken(f"a seal after it is broken: {error}") from None
        told = seal.statement
        if self._trusted and seal.public not in self._trusted:
            raise self._broken("a seal after it is signed with a key that is not trusted")
        if told.chain != self._chain:
            raise self._broken(f"a seal after it belongs to the chain {told.chain!r}")
        self._keys[seal.public] = None
        self._seals += 1
        if told.kind is StatementKind.CHECKPOINT:
            self._open_checkpoint(told)
            return
        if told.sequence > self._sequence:
            raise self._broken(
                f"it is missing: a seal over record {told.sequence} comes before it",
                self._sequence + 1,
            )
        if told.sequence < self._sequence:
            raise self._broken(f"a seal over record {told.sequence} is not at its place")
        if told.head != self._head.hex():
            raise self._broken(
                "its seal says another head: it, or one since the seal before, was changed"
            )
        self._begins = True
        if seal.public == self._public:
            self._last_seal = told

    def _open_checkpoint(self, told: Statement) -> None:
        if len(self._open) >= _CHECKPOINTS_MAX or told.number in self._open:
            raise self._broken("there are too many checkpoints here, or one twice")
        if told.first > self._sequence + 1 or told.sequence <= self._sequence:
            raise self._broken("a checkpoint after it is not at its place")
        self._open[told.number] = [told.first, told.sequence, told.count]
        self._due[told.sequence].append(told)

    def _close_checkpoints(self, sequence: int) -> None:
        for told in self._due.pop(sequence):
            _, _, left = self._open.pop(told.number)
            if told.head != self._head.hex():
                raise self._broken("its checkpoint says another head")
            # Some may lie before the file begins.
            if left < 0 or (left > 0 and told.first > self._base):
                raise self._broken(
                    f"its checkpoint says that {told.count} contents were dropped,"
                    f" and {told.count - left} were"
                )

    def _compare_held(self, sequence: int) -> None:
        for head in self._due_held.pop(sequence, ()):
            if head != self._head.hex():
                raise self._broken(
                    "a held seal says another head: this record or one before it was changed"
                )
            self._compared += 1

    def _broken(self, what: str, sequence: int | None = None) -> Broken:
        return Broken(self._sequence if sequence is None else sequence, self._line, what)


_CHANGED = (
    "its hash does not follow from its content and from the head after record {before}:"
    " one of them was changed"
)
