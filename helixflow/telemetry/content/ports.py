"""What keeping content needs of its stores, and how sealed content travels.

A project keeps content in periods (`inference.principal.Keeping`), and each period has a data key.
From it Telemetry derives a key for each session of an Ingress, and from that comes the key of each
content (sealing.py): who has a session's key can read what was kept in that session, and nothing
else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from helixflow.inference.desk import DeskAnswer, DeskCall

WORD_LENGTH_MAX = 128

SealedWire: TypeAlias = tuple[
    str, str, str, float, int, str, str, str, int, int, bool, int, str, bytes
]
"""A `Sealed`, field by field."""

KeepWire: TypeAlias = tuple[int, tuple[SealedWire, ...]]
"""`(version, contents)`."""

KeptWire: TypeAlias = tuple[int, tuple[str, ...]]
"""`(version, fates)`: a `Fate` for each content of the batch."""

VERSION = 1


class Fate(StrEnum):
    """What became of a content; the label of its metric.

    `erased`: its period was given up meanwhile. `held_full`: the Ingress held too much already.
    `stored_full`: the store does. `refused`: it could not be sealed or stored. `left_over`: the
    Ingress ended before it was stored.
    """

    ERASED = "erased"
    HELD_FULL = "held_full"
    KEPT = "kept"
    LEFT_OVER = "left_over"
    REFUSED = "refused"
    STORED_FULL = "stored_full"


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is kept of a request. All but `sealed` is in clear.

    Attributes:
        organization, project, request: ids.
        at: epoch seconds of its admission.
        days: how long it is kept.
        model, operation, outcome: as usage has them.
        request_bytes, answer_bytes: how long both were before they were cut.
        truncated: whether one of them was cut.
        period, session: whose key opens it.
        sealed: see sealing.py.
    """

    organization: str
    project: str
    request: str
    at: float
    days: int
    model: str
    operation: str
    outcome: str
    request_bytes: int
    answer_bytes: int
    truncated: bool
    period: int
    session: str
    sealed: bytes

    def to_wire(self) -> SealedWire:
        return (
            self.organization, self.project, self.request, self.at, self.days, self.model,
            self.operation, self.outcome, self.request_bytes, self.answer_bytes, self.truncated,
            self.period, self.session, self.sealed,
        )  # fmt: skip


class ContentStore(Protocol):
    """The sealed contents, and the ledger of erasures. Raises `Unavailable` where it is away."""

    async def add(self, contents: Sequence[Sealed]) -> None:
        """Store contents; one that is there already stays as it is."""
        ...

    async def get(self, organization: str, project: str, request: str) -> Sealed | None:
        """One of them."""
        ...

    async def page(
        self, organization: str, project: str, after: str | None, limit: int
    ) -> list[Sealed]:
        """At most `limit`, the newest first, after (older than) that of a request; `sealed` is left
        empty. Raises `NotFound` where `after` names none."""
        ...

    async def delete(self, organization: str, project: str, request: str) -> int:
        """Delete one, and overwrite it; how many bytes of sealed content it was."""
        ...

    async def erase(self, organization: str, project: str, period: int, limit: int) -> int:
        """Delete at most `limit` of those kept up to a period; how many there were."""
        ...

    async def shorten(self, organization: str, project: str, days: int) -> None:
        """All of a project are kept for at most so many days from their time; none for longer than
        before."""
        ...

    async def expire(self, now: float, before: float, limit: int) -> int:
        """Delete at most `limit` of those whose days are over, or that are of before; how many."""
        ...

    async def total(self) -> int:
        """How many bytes of sealed content there are."""
        ...

    async def erased(self, tag: bytes) -> int:
        """The last period of a project that was given up; 0 before the first one."""
        ...

    async def note_erased(self, tag: bytes, period: int) -> None:
        """Note that everything up to a period is given up; an earlier one changes nothing."""
        ...

    async def erasures(self, after: bytes, limit: int) -> list[tuple[bytes, int]]:
        """`(tag, period)` of the ledger, in the order of the tags."""
        ...


class ContentKeyStore(Protocol):
    """The wrapped data keys. Raises `Unavailable` where it is away."""

    async def get(self, tag: bytes, period: int) -> bytes | None:
        """A period's key."""
        ...

    async def add(self, tag: bytes, period: int, wrapped: bytes, at: float) -> None:
        """Store a key; one that is there already stays."""
        ...

    async def erase(self, tag: bytes, period: int) -> int:
        """Delete the keys up to a period so that nothing of them is left; how many there were."""
        ...


class VaultPort(Protocol):
    """Telemetry, as an Ingress hands it contents. Every call has a deadline of its own."""

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `gateway.ports.Desk.call`; asked `content.session`."""
        ...

    async def keep(self, batch: KeepWire) -> KeptWire:
        """Store contents. Raises `Unavailable` where that may be tried again."""
        ...
