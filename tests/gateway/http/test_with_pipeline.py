"""The face over the real pipeline, with fakes only around that."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from helixflow.clock import SystemClock
from helixflow.gateway.http.app import build_face
from helixflow.gateway.http.shield import Shield
from helixflow.gateway.pipeline import Pipeline
from helixflow.inference.frame import Frame
from helixflow.inference.usage import Usage
from helixflow.settings import GatewaySettings, HttpSettings
from helixflow.testing.desk import FakeDesk
from helixflow.testing.gateway import KEY, last_frame
from helixflow.testing.http import HttpAnswer, ask, exchange_bytes, serving, some_request
from helixflow.testing.stage import Stage

CHAT = "/v1/chat/completions"
GOOD: dict[str, Any] = {"model": "echo-1", "messages": [{"role": "user", "content": "hi"}]}


def face_of(stage: Stage) -> Any:
    face = build_face(
        stage.pipeline, HttpSettings(), GatewaySettings(), SystemClock(), FakeDesk(), FakeDesk()
    )
    return Shield(face, 4096)


async def post(face: Any, *, key: str = KEY, **changes: Any) -> HttpAnswer:
    raw = json.dumps({**GOOD, **changes}).encode()
    headers = [(b"authorization", f"Bearer {key}".encode())]
    return await ask(face, "POST", CHAT, headers=headers, pieces=[raw])


async def test_answers_and_refusals_come_out_in_http() -> None:
    stage = Stage(Pipeline)
    face = face_of(stage)
    answer = await post(face)
    assert (answer.status, answer.body) == (200, b'{"id":"1"}')
    assert answer.header("x-ratelimit-limit-requests") == "60"
    for changes, status, code, param in (
        ({"key": "wrong"}, 401, "invalid_api_key", None),
        ({"model": "ecko-1"}, 404, "model_not_found", "model"),
        ({"messages": []}, 400, "invalid_value", "messages"),
        ({"n": 1000}, 400, "invalid_value", "n"),
        ({"priority": 3}, 400, "unsupported_parameter", "priority"),
    ):
        answer = await post(face, **changes)
        error = answer.json["error"]
        assert (answer.status, error["code"], error["param"]) == (status, code, param)


async def test_models_and_readiness_are_those_of_the_registry() -> None:
    face = face_of(Stage(Pipeline))
    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    listed = await ask(face, "GET", "/v1/models", headers=headers)
    assert [model["id"] for model in listed.json["data"]] == ["echo-1"]
    found = await ask(face, "GET", "/v1/models/echo-1", headers=headers)
    assert found.json == listed.json["data"][0]
    ready = await ask(face, "GET", "/readyz")
    assert (ready.status, ready.json["models"][0]["state"]) == (200, "ready")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_hang_up_closes_what_the_pipeline_holds(stream: bool) -> None:
    begun = [Frame(b"data: 1\n\n")] if stream else []
    stage = Stage(Pipeline, [[*begun, asyncio.Event(), last_frame(b"late", Usage(1, 1))]])
    raw = json.dumps({**GOOD, "stream": stream}).encode()
    async with serving(face_of(stage)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        authorized = f"authorization: Bearer {KEY}"
        writer.write(some_request("POST", CHAT, raw, authorized, close=False))
        async with asyncio.timeout(1):
            await stage.dispatcher.waiting.wait()
            writer.transport.abort()
            while stage.dispatcher.open or stage.pipeline.ongoing:
                await asyncio.sleep(0)
        answer = await exchange_bytes(port, some_request("GET", "/healthz"))
        assert answer.status == 200
    assert stage.dispatcher.canceled == 1
    assert stage.limiter.settled == [[None]]
