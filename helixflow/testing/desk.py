"""The administration's desk without Auth."""

from __future__ import annotations

from typing import Protocol

from helixflow.errors import Refusal, Unavailable
from helixflow.inference.desk import DeskAnswer, DeskAnswerWire, DeskCall, DeskCallWire


class FakeDesk:
    """`gateway.ports.Desk` that keeps what it is asked and answers as the test says.

    Attributes:
        calls: what was asked.
        answer: what is answered.
        refuse: raised instead.
    """

    def __init__(self) -> None:
        self.calls: list[DeskCall] = []
        self.answer = DeskAnswer(b"{}")
        self.refuse: Exception | None = None

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `Desk.call`."""
        self.calls.append(call)
        if self.refuse is not None:
            raise self.refuse
        return self.answer


class Handles(Protocol):
    """The desk in Auth."""

    async def handle(self, wire: DeskCallWire) -> DeskAnswerWire:
        """The answer to a call."""
        ...


class WiredDesk:
    """`gateway.ports.Desk` over a desk in this process; only the wires lie between.

    `away` makes it unreachable.
    """

    def __init__(self, desk: Handles) -> None:
        self._desk = desk
        self.away = False

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `Desk.call`."""
        if self.away:
            raise Unavailable(Refusal.AUTH_UNAVAILABLE, "Auth does not answer.", retry_after_s=1.0)
        return DeskAnswer.from_wire(await self._desk.handle(call.to_wire()))
