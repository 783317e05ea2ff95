"""A Ray Serve handle without Ray, over an object that lives in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from typing import Any


class FakeHandle:
    """Behaves as a `DeploymentHandle`: `options` and a method's name give another handle, `remote`
    begins a call.

    Attributes:
        responses: every call that was made, through this handle and those made from it.
        lost: what calls raise, as where the replica is gone; empty for none.
    """

    def __init__(self, target: object, method_name: str = "__call__") -> None:
        self._target = target
        self._method_name = method_name
        self.responses: list[FakeResponse] = []
        self.lost: list[Exception] = []

    def options(self, *, method_name: str | None = None, **_: Any) -> FakeHandle:
        """The same deployment, another method."""
        made = FakeHandle(self._target, method_name or self._method_name)
        made.responses, made.lost = self.responses, self.lost
        return made

    def __getattr__(self, name: str) -> FakeHandle:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.options(method_name=name)

    def remote(self, *args: Any) -> FakeResponse:
        """Begin a call."""
        if self.lost:
            raise self.lost[0]
        method: Callable[..., Any] = getattr(self._target, self._method_name)
        self.responses.append(FakeResponse(method(*args)))
        return self.responses[-1]


class FakeResponse:
    """Behaves as a `DeploymentResponse` and a `DeploymentResponseGenerator`."""

    def __init__(self, work: AsyncGenerator[Any, None] | Awaitable[Any]) -> None:
        self._work: Any = work
        self._runner: asyncio.Runner | None = None
        self._closing: asyncio.Task[None] | None = None
        self.canceled = False

    def __await__(self) -> Generator[Any, None, Any]:
        answer: Generator[Any, None, Any] = self._work.__await__()
        return answer

    def __aiter__(self) -> FakeResponse:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._work)

    def __iter__(self) -> Iterator[Any]:
        # Each item by itself: a caller that stops between two of them finds the answer suspended.
        self._runner = asyncio.Runner()
        while (item := self._runner.run(self._next())) is not None:
            yield item

    async def _next(self) -> Any:
        return await anext(self._work, None)

    def result(self, timeout_s: float | None = None) -> Any:
        """The answer of a call that does not stream. Raises TimeoutError."""

        async def within() -> Any:
            async with asyncio.timeout(timeout_s):
                return await self._work

        return asyncio.run(within())

    def cancel(self) -> None:
        """End the call; harmless where it is over."""
        self.canceled = True
        if not isinstance(self._work, AsyncGenerator):
            return
        if self._runner is not None:
            self._runner.run(_close(self._work))
            self._runner.close()
            return
        self._closing = asyncio.ensure_future(_close(self._work))

    async def closed(self) -> None:
        """Wait until a cancelled call has ended."""
        if self._closing is not None:
            await self._closing


async def _close(work: AsyncGenerator[Any, None]) -> None:
    await work.aclose()
