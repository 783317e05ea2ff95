from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, cast

import pytest
from ray.serve.handle import DeploymentHandle

import helixflow
from helixflow.api.sse import DONE, event
from helixflow.errors import (
    Breach,
    DeadlineExceeded,
    InvalidRequest,
    QuotaExceeded,
    Refusal,
    Unauthenticated,
    Unavailable,
)
from helixflow.gateway.local import LocalFace, ModelsWire
from helixflow.gateway.pipeline import Pipeline
from helixflow.handle import Client, connect
from helixflow.inference.frame import Frame, FrameWire
from helixflow.inference.request import CallWire
from helixflow.testing import stage as testing_stage
from helixflow.testing.gateway import KEY, Step, last_frame
from helixflow.testing.handle import FakeHandle

Stage = partial(testing_stage.Stage, Pipeline)

HELLO = [{"role": "user", "content": "Hello"}]
CHUNKS = [{"choices": [{"delta": {"content": text}}]} for text in ("Hel", "lo")]
STREAM: list[Step] = [
    Frame(event(json.dumps(CHUNKS[0]).encode())),
    last_frame(event(json.dumps(CHUNKS[1]).encode()) + DONE),
]


class Ingress:
    """What the deployment of that name offers to handles, over a pipeline of fakes."""

    def __init__(self, stage: testing_stage.Stage) -> None:
        self.stage = stage
        self.wires: list[CallWire] = []
        self.held: asyncio.Event | None = None
        self._face = LocalFace(stage.pipeline, stage.settings, stage.pipeline.clock, 100_000)

    def answer(self, wire: CallWire) -> AsyncGenerator[FrameWire, None]:
        self.wires.append(wire)
        return self._face.answer(wire)

    async def list_models(self, credential: str | None) -> ModelsWire:
        if self.held is not None:
            await self.held.wait()
        return await self._face.models(credential)


class Program:
    """A program with a client."""

    def __init__(
        self,
        *scripts: list[Step],
        api_key: str | None = KEY,
        timeout_s: float | None = None,
    ) -> None:
        self.stage = Stage(scripts or ([last_frame(b'{"id": "1"}')],))
        self.ingress = Ingress(self.stage)
        self.handle = FakeHandle(self.ingress)
        handle = cast(DeploymentHandle[Any], self.handle)
        self.client = Client(handle, api_key, timeout_s)


class TestScripts:
    def test_chat_gives_the_whole_answer(self) -> None:
        program = Program(timeout_s=7.0)
        assert program.client.chat(model="echo-1", messages=HELLO) == {"id": "1"}
        ((version, operation, body, key, timeout_s, *trace),) = program.ingress.wires
        assert (version, operation, key, timeout_s) == (2, "chat.completions", KEY, 7.0)
        assert trace == ["", ""]
        assert json.loads(body) == {"model": "echo-1", "messages": HELLO, "stream": False}

    def test_complete_asks_for_a_completion(self) -> None:
        program = Program()
        assert program.client.complete(model="echo-1", prompt="Hello") == {"id": "1"}
        assert program.ingress.wires[0][1] == "completions"

    def test_stream_gives_the_chunks_and_swallows_the_end_mark(self) -> None:
        program = Program(STREAM)
        assert list(program.client.stream(model="echo-1", messages=HELLO)) == CHUNKS
        assert program.stage.pipeline.ongoing == 0

    def test_leaving_a_stream_early_ends_its_generation(self) -> None:
        program = Program(STREAM)
        stream = program.client.stream(model="echo-1", messages=HELLO)
        assert next(stream) == CHUNKS[0]
        stream.close()
        assert program.handle.responses[0].canceled
        assert program.stage.pipeline.ongoing == 0
        assert program.stage.dispatcher.canceled == 1

    def test_models_are_named(self) -> None:
        assert Program().client.models() == ["echo-1"]

    def test_a_refusal_is_raised_as_its_own_class(self) -> None:
        program = Program(api_key=None)
        for ask in (
            program.client.models,
            lambda: program.client.chat(model="echo-1", messages=HELLO),
            lambda: list(program.client.stream(model="echo-1", messages=HELLO)),
        ):
            with pytest.raises(Unauthenticated) as caught:
                ask()
            assert caught.value.reason is Refusal.MISSING_API_KEY
        assert all(response.canceled for response in program.handle.responses)

    def test_a_refusal_names_the_parameter(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            Program().client.chat(model="echo-1", messages=[])
        assert caught.value.param == "messages"

    def test_a_platform_that_does_not_answer_in_time_is_a_deadline(self) -> None:
        program = Program(timeout_s=0.001)
        program.ingress.held = asyncio.Event()
        with pytest.raises(DeadlineExceeded, match=r"longer than 0\.001 s"):
            program.client.models()


class TestAsyncPrograms:
    async def test_achat_gives_the_whole_answer(self) -> None:
        assert await Program().client.achat(model="echo-1", messages=HELLO) == {"id": "1"}

    async def test_astream_gives_the_chunks(self) -> None:
        program = Program(STREAM)
        stream = program.client.astream(model="echo-1", messages=HELLO)
        assert [chunk async for chunk in stream] == CHUNKS

    async def test_leaving_a_stream_early_ends_its_generation(self) -> None:
        program = Program(STREAM)
        stream = program.client.astream(model="echo-1", messages=HELLO)
        assert await anext(stream) == CHUNKS[0]
        await stream.aclose()
        await program.handle.responses[0].closed()
        assert program.stage.pipeline.ongoing == 0
        assert program.stage.dispatcher.canceled == 1

    async def test_a_whole_answer_that_nobody_waits_for_any_more_is_cancelled(self) -> None:
        program = Program([asyncio.Event()])
        task = asyncio.create_task(program.client.achat(model="echo-1", messages=HELLO))
        await program.stage.dispatcher.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert program.handle.responses[0].canceled
        await program.handle.responses[0].closed()
        assert program.stage.dispatcher.canceled == 1

    async def test_a_limit_that_is_used_up_is_told_with_its_facts(self) -> None:
        program = Program()
        breach = Breach("tokens_per_minute", "key=key_1,model=echo-1", 100.0, 98.0, 12.5)
        program.stage.limiter.refusal = QuotaExceeded(
            Refusal.RATE_LIMIT_EXCEEDED, "No tokens are left.", retry_after_s=2.5, breach=breach
        )
        with pytest.raises(QuotaExceeded) as caught:
            await program.client.achat(model="echo-1", messages=HELLO)
        assert (caught.value.breach, caught.value.retry_after_s) == (breach, 2.5)
        stream = program.client.astream(model="echo-1", messages=HELLO)
        with pytest.raises(QuotaExceeded) as caught:
            await anext(stream)
        assert caught.value.breach == breach

    async def test_a_refusal_in_the_middle_comes_after_the_chunks(self) -> None:
        died = Unavailable(Refusal.ENGINE_DIED, "It died.", retry_after_s=5.0)
        program = Program([STREAM[0], last_frame(refused=died)])
        stream = program.client.astream(model="echo-1", messages=HELLO)
        assert await anext(stream) == CHUNKS[0]
        with pytest.raises(Unavailable) as caught:
            await anext(stream)
        assert caught.value.to_wire() == died.to_wire()


def test_a_clients_repr_does_not_show_the_key() -> None:
    assert KEY not in repr(Program().client)


def test_a_program_in_no_cluster_is_told_so_and_starts_none() -> None:
    with pytest.raises(Unavailable, match=r"ray\.init"):
        connect(api_key=KEY)


def test_the_package_offers_the_handle_without_importing_ray_itself() -> None:
    assert helixflow.connect is connect
    assert helixflow.Client is Client
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = helixflow.nothing
