"""One timer for a whole answer: bounds every step of an async generator, and nothing between them.

`asyncio.timeout` around each step costs as much as making a chunk does, and around all of them it
would cancel whoever consumes the generator while that is busy elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from helixflow.errors import DeadlineExceeded

_T = TypeVar("_T")


class StepTimer:
    """Give every step to `within`, and `stop` in the end. For one event loop.

    Args:
        remaining_s: seconds from here to the deadline.
        limit_s: what the request was given in all, for the error's message.
    """

    __slots__ = ("_asked", "_limit_s", "_passed", "_task", "_timer")

    def __init__(self, remaining_s: float, limit_s: float) -> None:
        self._limit_s = limit_s
        self._passed = False
        self._asked = 0
        self._task: asyncio.Task[object] | None = None
        self._timer = asyncio.get_running_loop().call_later(remaining_s, self._pass)

    async def within(self, step: Awaitable[_T]) -> _T:
        """Await one step. Raises `DeadlineExceeded` where the deadline has passed or passes in it;
        the step is cancelled then. Any other cancellation goes its way.
        """
        self._task = task = asyncio.current_task()
        self._asked = 0 if task is None else task.cancelling()
        try:
            if self._passed:
                _drop(step)
                raise self._exceeded()
            return await step
        except asyncio.CancelledError:
            if self._passed and task is not None and task.uncancel() <= self._asked:
                raise self._exceeded() from None
            raise
        finally:
            self._task = None

    def stop(self) -> None:
        """From here on nothing is bounded."""
        self._timer.cancel()

    def _exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded.of("The request", self._limit_s)

    def _pass(self) -> None:
        self._passed = True
        if self._task is not None:
            self._task.cancel()


def _drop(step: Awaitable[object]) -> None:
    """Give up a step that was not begun.

    Cancelling this task for it instead would hit whatever is awaited next, where the step happens
    to have its value ready.
    """
    for name in ("close", "cancel"):
        if (end := getattr(step, name, None)) is not None:
            end()
            return
