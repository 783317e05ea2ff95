from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from helixflow.errors import (
    InvalidRequest,
    Overloaded,
    QuotaExceeded,
    Refusal,
    Unavailable,
)
from helixflow.inference.request import Operation
from helixflow.testing.http import HttpAnswer, ask, some_scope
from helixflow.testing.pipeline import KEY, FakePipeline, Script

CHAT = "/v1/chat/completions"
AUTHORIZED = [(b"authorization", b"Bearer " + KEY.encode())]
WHOLE = b"{}"
STREAM = b'{"stream":true}'
LIMITS = ((b"x-ratelimit-limit-requests", b"60"),)


async def post(
    face: Any, *pieces: bytes, path: str = CHAT, headers: Any = AUTHORIZED, **scope: Any
) -> HttpAnswer:
    return await ask(face, "POST", path, headers=headers, pieces=pieces or (WHOLE,), **scope)


class TestWholeAnswers:
    async def test_are_the_pipelines_bytes(self, face: Any, pipeline: FakePipeline) -> None:
        pipeline.script = Script(whole=b'{"id":"1"}', headers=LIMITS)
        answer = await post(face)
        assert (answer.status, answer.body, answer.complete) == (200, b'{"id":"1"}', True)
        assert answer.header("content-type") == "application/json"
        assert answer.header("content-length") == "10"
        assert answer.header("x-ratelimit-limit-requests") == "60"
        assert answer.header("x-request-id") == pipeline.calls[0].request_id
        assert pipeline.outcomes == ["ok"]

    async def test_the_call_holds_what_came_in(self, face: Any, pipeline: FakePipeline) -> None:
        headers = [*AUTHORIZED, (b"x-request-id", b"mine")]
        await post(face, b'{"a":', b" 1", b"}", headers=headers)
        await post(face, path="/v1/completions", client=None)
        call, other = pipeline.calls
        assert (call.operation, call.body, call.credential) == (Operation.CHAT, b'{"a": 1}', KEY)
        assert (call.source, call.client_request_id) == ("203.0.113.7", "mine")
        assert call.deadline.limit_s == 600
        assert (other.operation, other.source) == (Operation.COMPLETION, "")

    async def test_a_mounted_face_answers_below_its_root(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        answer = await post(face, path="/deep/v1/completions", root_path="/deep")
        assert answer.status == 200
        assert pipeline.calls[0].operation is Operation.COMPLETION


class TestStreams:
    async def test_are_the_pipelines_bytes(self, face: Any, pipeline: FakePipeline) -> None:
        pipeline.script = Script(frames=(b"data: 1\n\n", b"data: 2\n\n"), headers=LIMITS)
        answer = await post(face, STREAM)
        assert (answer.status, answer.body) == (200, b"data: 1\n\ndata: 2\n\n")
        assert answer.complete
        assert answer.header("content-type") == "text/event-stream; charset=utf-8"
        assert answer.header("cache-control") == "no-cache"
        assert answer.header("x-accel-buffering") == "no"
        assert answer.header("x-ratelimit-limit-requests") == "60"
        assert answer.all("content-length") == []

    async def test_that_break_off_end_with_one_error_event(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        died = Unavailable(Refusal.ENGINE_DIED, "It died.")
        pipeline.script = Script(frames=(b"data: 1\n\n",), breaks=died)
        answer = await post(face, STREAM)
        assert answer.status == 200
        assert answer.complete
        first, second, rest = answer.body.split(b"\n\n")
        assert (first, rest) == (b"data: 1", b"")
        error = json.loads(second.removeprefix(b"data: "))["error"]
        assert (error["code"], error["message"]) == ("engine_died", "It died.")
        assert pipeline.outcomes == ["engine_died"]

    async def test_a_fault_in_mid_stream_is_told_without_details(
        self, face: Any, pipeline: FakePipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.script = Script(frames=(b"data: 1\n\n",), breaks=ValueError("secret"))
        with caplog.at_level(logging.ERROR):
            answer = await post(face, STREAM)
        assert b'"code":"internal_error"' in answer.body
        assert b"secret" not in answer.body
        assert answer.header("x-request-id") in caplog.text


class TestRefusals:
    async def test_without_a_credential_there_is_no_answer(self, face: Any) -> None:
        answer = await post(face, headers=())
        assert (answer.status, answer.code) == (401, "missing_api_key")
        assert answer.header("www-authenticate") == 'Bearer realm="helixflow"'

    async def test_a_wrong_credential_is_told_nowhere(
        self, face: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            answer = await post(face, headers=[(b"authorization", b"Bearer hx-wrong")])
        assert (answer.status, answer.code) == (401, "invalid_api_key")
        assert "hx-wrong" not in answer.body.decode() + caplog.text

    @pytest.mark.parametrize("body", [WHOLE, STREAM])
    @pytest.mark.parametrize(
        ("refused", "status"),
        [
            (InvalidRequest(Refusal.INVALID_VALUE, "No.", param="n"), 400),
            (QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "No.", retry_after_s=1.5), 429),
            (Overloaded(Refusal.OVERLOADED, "No."), 503),
        ],
    )
    async def test_before_the_first_byte_have_their_own_status(
        self, face: Any, pipeline: FakePipeline, body: bytes, refused: Exception, status: int
    ) -> None:
        pipeline.script = Script(refuse=refused)
        answer = await post(face, body)
        assert answer.status == status
        assert answer.complete
        assert answer.json["error"]["message"] == "No."
        assert bool(answer.all("retry-after")) == (status != 400)

    async def test_a_fault_of_ours_is_a_500_without_details(
        self, face: Any, pipeline: FakePipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.script = Script(refuse=ZeroDivisionError("secret"))
        with caplog.at_level(logging.ERROR):
            answer = await post(face)
        assert (answer.status, answer.code) == (500, "internal_error")
        assert "secret" not in answer.body.decode()
        assert answer.header("x-request-id") in answer.json["error"]["message"]

    async def test_a_body_that_does_not_come_runs_into_a_deadline(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        answer = await ask(face, "POST", CHAT, headers=AUTHORIZED, pieces=())
        assert (answer.status, answer.code) == (504, "deadline_exceeded")
        assert pipeline.calls == []


class Client:
    """A client in process that may hang up or stop reading."""

    def __init__(self, *pieces: bytes) -> None:
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        for piece in pieces:
            self.incoming.put_nowait(
                {"type": "http.request", "body": piece, "more_body": piece != pieces[-1]}
            )

    def hang_up(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)

    def start(self, face: Any) -> asyncio.Task[None]:
        scope = some_scope("POST", CHAT, AUTHORIZED)
        return asyncio.create_task(face(scope, self.incoming.get, self.send))


class TestHangUps:
    @pytest.mark.parametrize("body", [WHOLE, STREAM])
    async def test_cancel_the_exchange(
        self, face: Any, pipeline: FakePipeline, body: bytes
    ) -> None:
        pipeline.script = Script(hold=asyncio.Event())
        client = Client(body)
        task = client.start(face)
        await pipeline.entered.wait()
        client.hang_up()
        await task
        assert pipeline.outcomes == ["CancelledError"]
        assert not any(m["type"].endswith("body") and not m.get("more_body") for m in client.sent)

    async def test_a_cancellation_from_the_server_is_not_swallowed(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        pipeline.script = Script(hold=asyncio.Event())
        task = Client(WHOLE).start(face)
        await pipeline.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pipeline.outcomes == ["CancelledError"]

    @pytest.mark.parametrize("sent", [[], [b'{"half":', b"never"]])
    async def test_before_the_body_is_whole_nothing_is_asked(
        self, face: Any, pipeline: FakePipeline, sent: list[bytes]
    ) -> None:
        client = Client()
        for piece in sent[:1]:
            client.incoming.put_nowait({"type": "http.request", "body": piece, "more_body": True})
        client.hang_up()
        await client.start(face)
        assert pipeline.calls == []
        assert client.sent == []

    async def test_what_else_comes_after_the_body_is_ignored(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        pipeline.script = Script(hold=asyncio.Event())
        client = Client(WHOLE)
        task = client.start(face)
        await pipeline.entered.wait()
        client.incoming.put_nowait({"type": "http.request", "body": b""})
        client.hang_up()
        await task
        assert pipeline.outcomes == ["CancelledError"]


class TestSlowReaders:
    async def test_end_the_exchange_within_the_limit(
        self, face: Any, pipeline: FakePipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = Client(STREAM)
        client.reads.clear()
        with caplog.at_level(logging.INFO):
            await client.start(face)
        assert pipeline.outcomes == ["slow_reader"]
        assert client.sent == []
        assert "stopped reading" in caplog.text

    async def test_are_not_those_who_wait_for_a_slow_model(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        pipeline.script = Script(hold=asyncio.Event())
        client = Client(STREAM)
        task = client.start(face)
        done, _ = await asyncio.wait([task], timeout=0.12)
        assert not done
        pipeline.script.hold.set()
        await task
        assert pipeline.outcomes == ["ok"]
        assert client.sent[-1] == {"type": "http.response.body", "body": b""}

    async def test_who_are_slow_only_for_the_refusal_are_dropped_too(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        pipeline.script = Script(refuse=Overloaded(Refusal.OVERLOADED, "No."))
        client = Client(STREAM)
        client.reads.clear()
        await client.start(face)
        assert pipeline.outcomes == ["overloaded"]
        assert client.sent == []
