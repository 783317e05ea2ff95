from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from math import nan

import pytest

from helixflow.errors import InvalidRequest, Refusal, Refused
from helixflow.gateway.local import LocalFace
from helixflow.gateway.pipeline import Pipeline
from helixflow.inference.frame import Frame
from helixflow.inference.request import CALL_VERSION, CallWire
from helixflow.settings import GatewaySettings
from helixflow.testing import stage as testing_stage
from helixflow.testing.clock import ManualClock
from helixflow.testing.gateway import KEY, last_frame

Stage = partial(testing_stage.Stage, Pipeline)

SETTINGS = GatewaySettings(request_s=100.0)


def face(stage: testing_stage.Stage) -> LocalFace:
    return LocalFace(stage.pipeline, SETTINGS, stage.pipeline.clock, 100_000)


def wire(
    *,
    operation: str = "chat.completions",
    credential: str | None = KEY,
    timeout_s: float | None = None,
    stream: bool = False,
) -> CallWire:
    messages = [{"role": "user", "content": "Hello"}]
    body = json.dumps({"model": "echo-1", "messages": messages, "stream": stream}).encode()
    return (CALL_VERSION, operation, body, credential, timeout_s)


async def answer(stage: testing_stage.Stage, call: CallWire) -> list[Frame]:
    return [Frame.from_wire(frame) async for frame in face(stage).answer(call)]


def refusal(frame: Frame) -> Refused:
    assert frame.data == b""
    assert frame.sidecar is not None
    assert frame.sidecar.refused is not None
    return frame.sidecar.refused


class TestAnswer:
    async def test_a_whole_answer_is_one_frame(self) -> None:
        stage = Stage()
        assert await answer(stage, wire()) == [Frame(b'{"id":"1"}')]
        assert stage.dispatcher.requests[0].stream is False

    async def test_a_stream_is_many(self) -> None:
        stage = Stage([[Frame(b"1"), Frame(b"2"), last_frame(b"3")]])
        frames = await answer(stage, wire(stream=True))
        assert [frame.data for frame in frames] == [b"1", b"2", b"3"]

    async def test_a_refusal_is_the_last_frame(self) -> None:
        (frame,) = await answer(Stage(), wire(credential=None))
        assert refusal(frame).reason is Refusal.MISSING_API_KEY

    async def test_a_refusal_in_the_middle_comes_after_what_was_sent(self) -> None:
        stage = Stage([[Frame(b"1"), last_frame(refused=Refused(Refusal.ENGINE_DIED, "Died."))]])
        first, last = await answer(stage, wire(stream=True))
        assert first.data == b"1"
        assert refusal(last).reason is Refusal.ENGINE_DIED

    async def test_an_unknown_operation_is_refused(self) -> None:
        (frame,) = await answer(Stage(), wire(operation="poems"))
        error = refusal(frame)
        assert isinstance(error, InvalidRequest)
        assert "'poems'" in error.message

    async def test_a_fault_of_ours_is_a_frame_too_and_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage = Stage([[ZeroDivisionError("a detail")]])
        with caplog.at_level(logging.ERROR):
            (frame,) = await answer(stage, wire())
        assert refusal(frame).reason is Refusal.INTERNAL_ERROR
        assert "a detail" not in refusal(frame).message
        assert "ZeroDivisionError" in caplog.text

    async def test_closing_it_early_ends_the_generation(self) -> None:
        stage = Stage([[Frame(b"1"), Frame(b"2"), asyncio.Event()]])
        frames = face(stage).answer(wire(stream=True))
        assert Frame.from_wire(await anext(frames)) == Frame(b"1")
        assert Frame.from_wire(await anext(frames)) == Frame(b"2")
        await frames.aclose()
        assert stage.dispatcher.canceled == 1
        stage.assert_over("canceled", settled=[None])

    async def test_a_hang_up_ends_the_generation(self) -> None:
        stage = Stage([[Frame(b"1"), asyncio.Event()]])
        task = asyncio.create_task(answer(stage, wire(stream=True)))
        await stage.dispatcher.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stage.assert_over("canceled", settled=[None])

    @pytest.mark.parametrize(
        ("asked", "given"),
        [(None, 100.0), (7.0, 7.0), (1e9, 100.0), (0.0, 100.0), (-1.0, 100.0), (nan, 100.0)],
    )
    async def test_a_caller_may_shorten_the_deadline_and_never_lengthen_it(
        self, asked: float | None, given: float
    ) -> None:
        stage = Stage(clock=ManualClock())
        await answer(stage, wire(timeout_s=asked))
        assert stage.dispatcher.requests[0].timeout_s == given


class TestSource:
    async def test_a_handle_has_no_address(self) -> None:
        stage = Stage()
        await answer(stage, wire())
        await face(stage).models(KEY)
        assert stage.authenticator.sources == ["handle", "handle"]


class TestModels:
    async def test_they_come_as_plain_tuples(self) -> None:
        cards, refused = await face(Stage()).models(KEY)
        assert cards == (("echo-1", 1_700_000_000, "helixflow", "ready", ""),)
        assert refused is None

    async def test_a_stranger_gets_the_reason(self) -> None:
        cards, refused = await face(Stage()).models("another")
        assert cards == ()
        assert refused is not None
        assert refusal(Frame.from_wire(refused)).reason is Refusal.INVALID_API_KEY
