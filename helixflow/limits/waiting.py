"""Requests that wait for an exchange with the store.

Those of one caller and model wait in one line: only its head is asked for, with the number of those
behind it, and only the head is decided as long as it can be neither admitted nor refused. So an exchange
costs by the callers that wait, not by their requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from helixflow.errors import Refused
from helixflow.limits.exchange import Wish
from helixflow.limits.plan import Plan
from helixflow.limits.till import Request, Reserved


class Wait:
    """A request, and what becomes of it."""

    __slots__ = ("answer", "plan", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.plan = request.plan
        self.answer: asyncio.Future[Reserved] = asyncio.get_running_loop().create_future()

    @property
    def answered(self) -> bool:
        """Whether it was admitted or refused."""
        return self.answer.done() and not self.answer.cancelled()

    def forsake(self) -> None:
        """Nobody waits any more: what was taken meanwhile goes back."""
        if self.answer.cancel() or self.answer.cancelled():
            return
        if self.answer.exception() is None:
            self.answer.result().cancel()


class Waiting:
    """Lines of requests, each in the order in which they came."""

    def __init__(self) -> None:
        self._lines: dict[Plan, dict[Wait, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, wait: Wait) -> None:
        """Stand at the end of the line."""
        self._lines.setdefault(wait.plan, {})[wait] = None
        self._count += 1

    def remove(self, wait: Wait) -> None:
        """Leave the line; nothing where it was left before."""
        line = self._lines.get(wait.plan)
        if line is None or wait not in line:
            return
        del line[wait]
        self._count -= 1
        if not line:
            del self._lines[wait.plan]

    def wishes(self, current: Callable[[Request], Request]) -> list[Wish]:
        """What is waited for. `current` measures a request again where its plan is gone; it raises
        `Refused` where it cannot."""
        for plan in [plan for plan in self._lines if plan.gone]:
            self._measure_again(plan, current)
        return [(next(iter(line)).request.demands, len(line)) for line in self._lines.values()]

    def serve(self, decide: Callable[[Request], Reserved | None]) -> None:
        """Decide for each line, from its head on, until one can neither be admitted nor refused."""
        for line in list(self._lines.values()):
            for wait in list(line):
                if not self._serve(wait, decide):
                    break

    def _serve(self, wait: Wait, decide: Callable[[Request], Reserved | None]) -> bool:
        if not wait.answer.done():
            try:
                reserved = decide(wait.request)
            except Refused as refused:
                wait.answer.set_exception(refused)
            else:
                if reserved is None:
                    return False
                wait.answer.set_result(reserved)
        self.remove(wait)
        return True

    def _measure_again(self, plan: Plan, current: Callable[[Request], Request]) -> None:
        for wait in list(self._lines[plan]):
            self.remove(wait)
            if wait.answer.done():
                continue
            try:
                wait.request = current(wait.request)
            except Refused as refused:
                wait.answer.set_exception(refused)
                continue
            wait.plan = wait.request.plan
            self.add(wait)
