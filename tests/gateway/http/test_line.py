from __future__ import annotations

import asyncio
from typing import Any

import pytest

from helixflow.errors import DeadlineExceeded, Unavailable
from helixflow.gateway.http.line import HungUp, Line


async def never(*_: Any) -> Any:
    await asyncio.Event().wait()


async def at_once(*_: Any) -> None:
    pass


def messages(*given: Any) -> Any:
    waiting = list(given)

    async def receive() -> Any:
        return waiting.pop(0) if waiting else await never()

    return receive


def piece(body: bytes, more_body: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more_body}


GONE = {"type": "http.disconnect"}


class TestBody:
    @pytest.mark.parametrize(
        "pieces",
        [
            [piece(b"abc")],
            [piece(b"a", True), piece(b"", True), piece(b"bc")],
            [{"type": "http.request", "more_body": True}, piece(b"abc")],
        ],
    )
    async def test_is_the_pieces_together(self, pieces: list[Any]) -> None:
        assert await Line(messages(*pieces), at_once, 1.0).body() == b"abc"

    async def test_without_any_bytes_is_empty(self) -> None:
        assert await Line(messages({"type": "http.request"}), at_once, 1.0).body() == b""

    @pytest.mark.parametrize("pieces", [[GONE], [piece(b"a", True), GONE]])
    async def test_of_a_client_that_is_gone_is_none(self, pieces: list[Any]) -> None:
        with pytest.raises(HungUp):
            await Line(messages(*pieces), at_once, 1.0).body()

    @pytest.mark.parametrize("pieces", [[], [piece(b"a", True)]])
    async def test_has_a_deadline(self, pieces: list[Any]) -> None:
        with pytest.raises(DeadlineExceeded):
            await Line(messages(*pieces), at_once, 0.001).body()


class TestHangUp:
    async def test_ends_the_block_quietly(self) -> None:
        async with Line(messages(GONE), at_once, 1.0) as line:
            line.watch()
            await never()
        assert line.hung_up
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    async def test_does_not_hide_a_cancellation_from_outside(self) -> None:
        async def answer() -> None:
            async with Line(messages(GONE), at_once, 1.0) as line:
                line.watch()
                try:
                    await never()
                finally:
                    task.cancel()

        task = asyncio.create_task(answer())
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_is_not_looked_for_after_the_block(self) -> None:
        watched = asyncio.Event()

        async def receive() -> Any:
            watched.set()
            return await never()

        async with Line(receive, at_once, 1.0) as line:
            line.watch()
            await watched.wait()
        assert not line.hung_up

    async def test_leaves_other_errors_alone(self) -> None:
        with pytest.raises(KeyError):
            async with Line(messages(GONE), at_once, 1.0):
                raise KeyError


class TestSend:
    async def test_to_a_reader_that_stopped_is_refused(self) -> None:
        with pytest.raises(Unavailable) as caught:
            async with Line(never, never, 0.001) as line:
                await line.send({})
        assert caught.value.reason == "slow_reader"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    async def test_may_come_late_as_long_as_it_is_taken_at_once(self) -> None:
        async with Line(never, at_once, 0.001) as line:
            await line.send({})
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(never(), 0.004)
            await line.send({})

    async def test_does_not_hide_a_cancellation_from_outside(self) -> None:
        begun = asyncio.Event()

        async def send(message: Any) -> None:
            begun.set()
            await never()

        async def answer() -> None:
            async with Line(never, send, 10.0) as line:
                await line.send({})

        task = asyncio.create_task(answer())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_line_belongs_to_a_task() -> None:
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def outside() -> None:
        try:
            Line(never, at_once, 1.0)
        except RuntimeError as error:
            outcome.set_result(str(error))

    asyncio.get_running_loop().call_soon(outside)
    assert await outcome == "a Line belongs to a task"
