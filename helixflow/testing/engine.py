"""Engines for tests, and the contract that every engine keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from helixflow.api.sse import Decoder
from helixflow.engine.ports import Engine, Progress
from helixflow.errors import Refused, Unavailable
from helixflow.ids import RequestId, mint_request_id
from helixflow.inference.frame import Frame
from helixflow.inference.load import Load
from helixflow.inference.request import EngineRequest, Operation
from helixflow.inference.usage import Usage

_GONE_S = 1.0
_POLL_S = 0.005
_LONG_TOKENS = 400


def engine_request(
    body: dict[str, Any] | bytes,
    *,
    stream: bool = False,
    operation: Operation = Operation.CHAT,
    model: str = "echo-1",
    tenant: str = "org_test",
    timeout_s: float = 60.0,
    **more: Any,
) -> EngineRequest:
    """A request with an id of its own; a table becomes JSON, with `stream` set in it.

    `more` are further fields of the request.
    """
    if isinstance(body, dict):
        body = json.dumps({"model": model, "stream": stream, **body}).encode()
    request_id: RequestId = mint_request_id()
    return EngineRequest(request_id, operation, body, model, stream, tenant, timeout_s, **more)


def events(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """The JSON of every event of a stream; `[DONE]` must be the last and is left out."""
    decoder = Decoder()
    data = [datum for frame in frames for datum in decoder.feed(frame.data)]
    if not data or data[-1] != b"[DONE]":
        raise AssertionError(f"the stream does not end with [DONE]: {data[-1:]}")
    return [json.loads(datum) for datum in data[:-1]]


class ScriptedEngine:
    """Plays a list of frames; an exception in the list is raised, a callable is awaited.

    Attributes:
        closed: ids of requests whose generator was closed or ran to its end.
        loaded: what `load` answers.
        used: what `usage` answers.
        fault: what `health` raises, or None.
    """

    def __init__(self, *script: Frame | Exception | Callable[[], Awaitable[object]]) -> None:
        self._script = script
        self.closed: list[str] = []
        self.loaded = Load()
        self.used = Usage()
        self.fault: Exception | None = None
        self.stopped = False

    async def start(self, progress: Progress) -> None:
        progress("ready", 1.0)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        try:
            for step in self._script:
                if isinstance(step, Frame):
                    yield step
                elif isinstance(step, Exception):
                    raise step
                else:
                    await step()
        finally:
            self.closed.append(request.request_id)

    def usage(self, request_id: str) -> Usage:
        return self.used

    def load(self) -> Load:
        return self.loaded

    async def health(self) -> None:
        if self.fault is not None:
            raise self.fault

    async def stop(self) -> None:
        self.stopped = True


async def check_engine(engine: Engine, model: str) -> None:
    """Check a started engine that nobody else uses. Raises AssertionError where it fails."""
    await engine.health()
    for operation in Operation:
        await _check_whole(engine, model, operation)
        await _check_stream(engine, model, operation)
        await _check_refusal(engine, model, operation)
        await _check_hang_up(engine, model, operation)
        await _check_cancel(engine, model, operation)
    _expect(engine.usage("req_unknown") == Usage(), "an unknown request used something")


async def check_stopped(engine: Engine) -> None:
    """Check that a stopped engine says so, and may be stopped again."""
    await engine.stop()
    await engine.stop()
    for step in (engine.health(), anext(engine.generate(_ask("echo-1", Operation.CHAT, 1)))):
        try:
            await step
        except Unavailable:
            continue
        raise AssertionError("a stopped engine goes on")


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise AssertionError(otherwise)


def _ask(model: str, operation: Operation, tokens: int, **more: Any) -> EngineRequest:
    stream = bool(more.pop("stream", False))
    text = "Count slowly from one to a hundred."
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if operation is Operation.COMPLETION:
        asked = {"prompt": text}
    body = {**asked, "max_tokens": tokens, "ignore_eos": True, **more}
    return engine_request(body, stream=stream, operation=operation, model=model)


async def _check_whole(engine: Engine, model: str, operation: Operation) -> None:
    request = _ask(model, operation, 3)
    frames = [frame async for frame in engine.generate(request)]
    _expect(len(frames) == 1, f"{len(frames)} frames for an answer that is not streamed")
    side, body = frames[0].sidecar, json.loads(frames[0].data)
    if side is None:
        raise AssertionError("the only frame has no sidecar")
    _expect(body["model"] == model, "the answer names another model")
    _expect(request.request_id in body["id"], "the answer has an id that is not ours")
    _expect(side.usage.completion_tokens == 3, f"3 tokens counted as {side.usage}")
    _expect(body["usage"]["prompt_tokens"] == side.usage.prompt_tokens, "prompt count differs")
    _expect(side.finish_reason == "length", f"finish reason {side.finish_reason!r}")
    for _ in range(2):
        _expect(engine.usage(request.request_id) == side.usage, "usage is not kept")


async def _check_stream(engine: Engine, model: str, operation: Operation) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    frames = [frame async for frame in engine.generate(_ask(model, operation, 3, **options))]
    _expect(all(frame.sidecar is None for frame in frames[:-1]), "a sidecar before the end")
    side = frames[-1].sidecar
    if side is None:
        raise AssertionError("the last frame has no sidecar")
    *chunks, last = events(frames)
    _expect(last["choices"] == [], "the usage chunk has choices")
    _expect(
        last["usage"]["completion_tokens"] == side.usage.completion_tokens == 3, "usage differs"
    )
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    _expect([word for word in reasons if word] == ["length"], f"finish reasons {reasons}")
    if operation is Operation.CHAT:
        _expect(chunks[0]["choices"][0]["delta"]["role"] == "assistant", "no role chunk")


async def _check_refusal(engine: Engine, model: str, operation: Operation) -> None:
    for fault in ({"max_tokens": 0}, {"temperature": "hot"}, {"n": -1}):
        try:
            async for _ in engine.generate(_ask(model, operation, 1, **fault)):
                raise AssertionError(f"{fault} is answered")
        except Refused as refused:
            _expect(refused.param == next(iter(fault)), f"{fault} is refused for {refused.param}")


async def _check_hang_up(engine: Engine, model: str, operation: Operation) -> None:
    request = _ask(model, operation, _LONG_TOKENS, stream=True)
    frames = engine.generate(request)
    await anext(frames)
    _expect(engine.load().running == 1, "a running request is not counted")
    await frames.aclose()
    await _gone(engine)
    used = engine.usage(request.request_id)
    _expect(0 < used.completion_tokens < _LONG_TOKENS, f"a hang-up is counted as {used}")


async def _check_cancel(engine: Engine, model: str, operation: Operation) -> None:
    request = _ask(model, operation, _LONG_TOKENS)
    answer = asyncio.create_task(_first(engine, request))
    # An engine tells no event of its tokens, nor of its load: both are polled.
    while not (answer.done() or engine.usage(request.request_id).completion_tokens):  # noqa: ASYNC110
        await asyncio.sleep(_POLL_S)
    answer.cancel()
    try:
        await answer
    except asyncio.CancelledError:
        await _gone(engine)
        used = engine.usage(request.request_id)
        _expect(0 < used.completion_tokens < _LONG_TOKENS, f"a cancel is counted as {used}")
        return
    raise AssertionError("a cancelled request is answered")


async def _first(engine: Engine, request: EngineRequest) -> Frame:
    return await anext(engine.generate(request))


async def _gone(engine: Engine) -> None:
    """Within a second nothing runs any more."""
    async with asyncio.timeout(_GONE_S):
        while engine.load().running:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
