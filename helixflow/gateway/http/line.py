"""One client's connection while its request is answered: is it still there, does it still read?

Failure behavior: a client that hangs up cancels the task that answers it, which sees an ordinary
cancellation; a client that does not take what is sent within `slow_reader_s` makes `send` raise
`Unavailable` (`slow_reader`). Both are bounded in time whatever the client does.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Message, Receive, Send

from helixflow.errors import DeadlineExceeded, Refusal, Unavailable

WATCH_AFTER_S = 0.02
"""A hang-up is looked for from here on: most short answers are out before, and need no task."""


class HungUp(Exception):
    """The client was gone before its request had come in whole."""


class Line:
    """`async with Line(...) as line`: `body()` first, then `watch()`, then any number of `send`s.

    Attributes:
        hung_up: whether the block was left because the client hung up.
    """

    __slots__ = (
        "_cancelling",
        "_loop",
        "_reader_timer",
        "_receive",
        "_send",
        "_sending_since",
        "_slow_reader_s",
        "_task",
        "_too_slow",
        "_watch_timer",
        "_watcher",
        "hung_up",
    )  # fmt: skip

    def __init__(self, receive: Receive, send: Send, slow_reader_s: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a Line belongs to a task")
        self._receive = receive
        self._send = send
        self._slow_reader_s = slow_reader_s
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._sending_since: float | None = None
        self._too_slow = False
        self._reader_timer: asyncio.TimerHandle | None = None
        self._watch_timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.hung_up = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Stop watching; swallows the cancellation that this line itself caused, no other."""
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        ours = self.hung_up and self._task.uncancel() <= self._cancelling
        return ours and kind is asyncio.CancelledError

    async def body(self) -> bytes:
        """The whole body. Raises `HungUp`, or `DeadlineExceeded` where it comes too slowly."""
        try:
            async with asyncio.timeout(self._slow_reader_s):
                message = await self._receive()
                if message["type"] == "http.request" and not message.get("more_body"):
                    body: bytes = message.get("body", b"")
                    return body
                return await self._pieces(message)
        except TimeoutError:
            raise DeadlineExceeded.of("The request's body", self._slow_reader_s) from None

    def watch(self) -> None:
        """From here on nothing but a hang-up is expected of the client."""
        self._watch_timer = self._loop.call_later(WATCH_AFTER_S, self._start_watching)

    async def send(self, message: Message) -> None:
        """Send within `slow_reader_s`, or raise `Unavailable` (`slow_reader`)."""
        self._sending_since = self._loop.time()
        if self._reader_timer is None:
            self._reader_timer = self._loop.call_later(self._slow_reader_s, self._check_reader)
        try:
            await self._send(message)
        except asyncio.CancelledError:
            if self._too_slow and self._task.uncancel() <= self._cancelling:
                raise Unavailable(
                    Refusal.SLOW_READER, "The client stopped reading its answer."
                ) from None
            raise
        self._sending_since = None

    async def _pieces(self, message: Message) -> bytes:
        pieces: list[bytes] = []
        while message["type"] == "http.request":
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(pieces)
            message = await self._receive()
        raise HungUp

    def _start_watching(self) -> None:
        self._watcher = self._loop.create_task(self._wait_for_hang_up())

    async def _wait_for_hang_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.hung_up = True
        self._task.cancel()

    def _check_reader(self) -> None:
        """Comes back when a send that is under way now would have taken too long."""
        now = self._loop.time()
        since = now if self._sending_since is None else self._sending_since
        if now - since >= self._slow_reader_s:
            self._too_slow = True
            self._task.cancel()
            return
        self._reader_timer = self._loop.call_at(since + self._slow_reader_s, self._check_reader)
