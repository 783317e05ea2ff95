from __future__ import annotations

import json

from benchmarks.scenarios.bodies import chat_body
from benchmarks.systems.ready_answers import PROMPT, stream_events, whole
from helixflow.engine.echo import EchoEngine
from helixflow.ids import RequestId
from helixflow.inference.model_spec import EngineKind, ModelSpec
from helixflow.inference.request import EngineRequest, Operation


async def echoed(tokens: int, *, stream: bool) -> bytes:
    body = chat_body("echo-1", PROMPT, tokens, stream=stream).encode()
    engine = EchoEngine(ModelSpec("echo-1", EngineKind.ECHO))
    request = EngineRequest(
        request_id=RequestId("req_0123456789abcdef0123456789abcdef"),
        operation=Operation.CHAT,
        model="echo-1",
        body=body,
        stream=stream,
        tenant="org-1",
        timeout_s=60.0,
    )
    return b"".join([frame.data async for frame in engine.generate(request)])


async def test_the_floor_answers_as_many_bytes_as_the_echo_engine() -> None:
    ours, floor = await echoed(16, stream=False), whole(16)
    assert json.loads(floor)["usage"] == json.loads(ours)["usage"]
    assert abs(len(ours) - len(floor)) <= 8


async def test_the_floor_streams_as_many_bytes_and_events_as_the_echo_engine() -> None:
    ours, floor = await echoed(100, stream=True), b"".join(stream_events(100))
    assert ours.count(b"\n\n") == floor.count(b"\n\n")
    assert abs(len(ours) - len(floor)) / len(ours) < 0.03
