from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from helixflow.errors import (
    DeadlineExceeded,
    Refusal,
    Unavailable,
)
from helixflow.gateway.pipeline import Pipeline
from helixflow.inference.frame import Frame
from helixflow.inference.usage import Usage
from helixflow.settings import GatewaySettings
from helixflow.testing import stage as testing_stage

Stage = partial(testing_stage.Stage, Pipeline)
WHOLE = testing_stage.WHOLE

DIED = Unavailable(Refusal.ENGINE_DIED, "The engine died.", retry_after_s=5.0)
SOON = GatewaySettings(request_s=600, first_token_s=0.002)


class TestDeadlines:
    async def late(self, stage: testing_stage.Stage, **call: Any) -> DeadlineExceeded:
        error = await stage.refused(**call)
        assert isinstance(error, DeadlineExceeded)
        # Nothing of the timer is left in the task: it can wait and be cancelled as before.
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)
        return error

    async def test_the_first_token_has_a_deadline_of_its_own(self) -> None:
        stage = Stage([[asyncio.Event()]], settings=SOON)
        error = await self.late(stage, stream=True)
        assert error.message == "The first token took longer than 0.002 s."
        stage.assert_over("deadline_exceeded", settled=[None])
        assert stage.dispatcher.canceled == 1

    async def test_the_requests_deadline_is_named_where_it_is_the_shorter_one(self) -> None:
        stage = Stage([[asyncio.Event()]])
        error = await self.late(stage, stream=True, limit_s=0.002)
        assert error.message == "The request took longer than 0.002 s."

    async def test_a_whole_answer_may_take_longer_than_a_first_token(self) -> None:
        held = asyncio.Event()
        stage = Stage([[held, WHOLE]], settings=SOON)
        asyncio.get_running_loop().call_later(0.01, held.set)
        assert await stage.answer() == b'{"id":"1"}'
        stage.assert_over("ok", settled=[Usage(3, 5)])

    async def test_a_stream_that_has_begun_may_take_longer_than_a_first_token(self) -> None:
        held = asyncio.Event()
        stage = Stage([[Frame(b"1"), held, WHOLE]], settings=SOON)
        asyncio.get_running_loop().call_later(0.01, held.set)
        assert await stage.answer(stream=True) == b'1{"id":"1"}'

    @pytest.mark.parametrize("stream", [False, True])
    async def test_the_request_has_a_deadline(self, stream: bool) -> None:
        script = [Frame(b"1"), asyncio.Event()] if stream else [asyncio.Event()]
        stage = Stage([script])
        error = await self.late(stage, stream=stream, limit_s=0.002)
        assert error.message == "The request took longer than 0.002 s."
        stage.assert_over("deadline_exceeded", settled=[None])
        assert stage.dispatcher.canceled == 1

    @pytest.mark.parametrize("part", ["authenticator", "limiter"])
    async def test_it_covers_every_step_before_the_engine(self, part: str) -> None:
        stage = Stage(settings=SOON)
        stage.authenticator.remembers = False
        getattr(stage, part).held = asyncio.Event()
        error = await self.late(stage)
        assert "0.002 s" in error.message
        stage.assert_over("deadline_exceeded")

    async def test_a_deadline_that_has_passed_before_gives_no_answer(self) -> None:
        stage = Stage([[asyncio.Event()]])
        await self.late(stage, limit_s=0.0)
        stage.assert_over("deadline_exceeded", settled=[None])

    async def test_it_covers_what_the_face_waits_for_inside_the_block(self) -> None:
        stage = Stage([[Frame(b"1"), asyncio.Event()]])
        with pytest.raises(DeadlineExceeded):
            async with stage.exchange(stream=True, limit_s=0.005):
                await asyncio.Event().wait()
        stage.assert_over("deadline_exceeded", settled=[None])

    async def test_a_timeout_of_the_faces_own_stays_its_own(self) -> None:
        stage = Stage([[Frame(b"1"), asyncio.Event()]])
        with pytest.raises(TimeoutError):
            async with stage.exchange(stream=True), asyncio.timeout(0.001):
                await asyncio.Event().wait()
        stage.assert_over("canceled", settled=[None])

    async def test_a_timeout_around_the_exchange_stays_its_own(self) -> None:
        stage = Stage([[asyncio.Event()]])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await stage.answer()
        stage.assert_over("canceled", settled=[None])

    async def test_a_hang_up_at_the_same_moment_wins(self) -> None:
        stage = Stage([[asyncio.Event()]])
        task = asyncio.create_task(stage.answer(limit_s=0.0))
        await asyncio.sleep(0)  # the answer waits for its engine, and its timer is due
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        stage.assert_over("canceled", settled=[None])

    async def test_an_error_made_of_its_cancellation_is_still_a_deadline(self) -> None:
        stage = Stage([[Frame(b"1"), asyncio.Event()]])

        async def send() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ConnectionError("the connection was cancelled") from None

        with pytest.raises(DeadlineExceeded):
            async with stage.exchange(stream=True, limit_s=0.002):
                await send()
        stage.assert_over("deadline_exceeded", settled=[None])

    async def test_no_timer_outlives_the_exchange(self) -> None:
        stage = Stage([[Frame(b"1"), WHOLE]])
        await stage.answer(stream=True, limit_s=0.005)
        task = asyncio.current_task()
        assert task is not None
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, over.set)
        await over.wait()
        assert task.cancelling() == 0


class TestClosing:
    async def test_a_dispatcher_that_fails_to_close_leaves_nothing_armed(self) -> None:
        stage = Stage([[Frame(b"1"), WHOLE]])
        stage.dispatcher.close_step = RuntimeError("closing failed")
        with pytest.raises(RuntimeError, match="closing failed"):
            async with stage.exchange(stream=True, limit_s=0.005):
                pass
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, over.set)
        await over.wait()
        stage.assert_over("internal_error", settled=[None])

    async def test_a_dispatcher_that_never_closes_is_held_to_the_deadline(self) -> None:
        stage = Stage([[Frame(b"1"), WHOLE]])
        stage.dispatcher.close_step = asyncio.Event()
        with pytest.raises(DeadlineExceeded):
            async with stage.exchange(stream=True, limit_s=0.002):
                pass
        stage.assert_over("deadline_exceeded", settled=[None])

    async def test_a_timeout_of_the_dispatchers_own_is_passed_on(self) -> None:
        stage = Stage([[TimeoutError("a socket's")]])
        with pytest.raises(TimeoutError, match="a socket's"):
            await stage.answer()
        stage.assert_over("canceled", settled=[None])

    async def test_a_settlement_that_fails_still_ends_the_generation(self) -> None:
        stage = Stage([[Frame(b"1"), asyncio.Event()]])
        stage.limiter.settle_failure = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            async with stage.exchange(stream=True):
                pass
        assert stage.dispatcher.canceled == 1
        stage.assert_over("internal_error", settled=[None])
