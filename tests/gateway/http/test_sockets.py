"""The face behind a real server, asked byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError

from helixflow.errors import InvalidRequest, Refusal, Unavailable
from helixflow.testing.http import exchange_bytes, parse_answer, serving, some_request
from helixflow.testing.pipeline import KEY, FakePipeline, Script

CHAT = "/v1/chat/completions"
AUTHORIZED = f"authorization: Bearer {KEY}"
STREAM = b'{"stream":true}'
CHUNK: dict[str, Any] = {
    "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "echo-1",
}  # fmt: skip


def chunk(text: str) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    return b"data: " + json.dumps({**CHUNK, "choices": choices}).encode() + b"\n\n"


async def test_a_whole_answer_and_a_stream_come_over_the_wire(
    face: Any, pipeline: FakePipeline
) -> None:
    async with serving(face) as port:
        answer = await exchange_bytes(port, some_request("POST", CHAT, b"{}", AUTHORIZED))
        assert (answer.status, answer.body) == (200, pipeline.script.whole)
        answer = await exchange_bytes(port, some_request("POST", CHAT, STREAM, AUTHORIZED))
        assert answer.body == b"".join(pipeline.script.frames)
        assert answer.complete
        assert answer.header("x-request-id") == pipeline.calls[1].request_id


async def test_a_body_that_trickles_in_is_answered_once_it_is_whole(
    face: Any, pipeline: FakePipeline
) -> None:
    raw = some_request("POST", CHAT, b'{"a":"' + b"x" * 100 + b'"}', AUTHORIZED)
    async with serving(face) as port:
        pieces = [raw[place : place + 7] for place in range(0, len(raw), 7)]
        assert (await exchange_bytes(port, *pieces)).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    ],
)
async def test_what_is_not_http_is_turned_away_and_disturbs_nobody(face: Any, raw: bytes) -> None:
    async with serving(face) as port:
        good = exchange_bytes(port, some_request("POST", CHAT, b"{}", AUTHORIZED))
        bad, answer = await asyncio.gather(exchange_bytes(port, raw), good)
        assert bad.status == 400
        assert answer.status == 200


async def test_a_body_over_the_limit_is_refused_before_it_has_come(face: Any) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{AUTHORIZED}\r\ncontent-length: 99999\r\n\r\n"
    async with serving(face) as port:
        answer = await exchange_bytes(port, head.encode())
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert answer.header("connection") == "close"


async def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(
    face: Any, pipeline: FakePipeline
) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{AUTHORIZED}\r\ntransfer-encoding: chunked\r\n\r\n"
    piece = b"400\r\n" + b" " * 1024 + b"\r\n"
    async with serving(face) as port:
        answer = await exchange_bytes(port, head.encode(), *[piece] * 5)
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert pipeline.calls == []
        whole = await exchange_bytes(
            port, head.encode() + b"2\r\n{}\r\n0\r\n\r\n" + some_request("GET", "/healthz")
        )
        assert whole.status == 200


@pytest.mark.parametrize("body", [b"{}", STREAM])
async def test_a_client_that_hangs_up_frees_its_exchange(
    face: Any, pipeline: FakePipeline, body: bytes
) -> None:
    pipeline.script = Script(hold=asyncio.Event())
    async with serving(face) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(some_request("POST", CHAT, body, AUTHORIZED, close=False))
        await pipeline.entered.wait()
        writer.transport.abort()
        async with asyncio.timeout(1):
            await pipeline.left.wait()
    assert pipeline.outcomes == ["CancelledError"]


async def test_a_client_that_stops_reading_frees_its_exchange_and_sees_a_broken_answer(
    face: Any, pipeline: FakePipeline
) -> None:
    pipeline.script = Script(frames=[chunk("x" * 65_536)] * 400)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        async with serving(face) as port:
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, some_request("POST", CHAT, STREAM, AUTHORIZED))
            async with asyncio.timeout(5):
                await pipeline.left.wait()
            assert pipeline.outcomes == ["slow_reader"]
            received = b""
            try:
                while data := await loop.sock_recv(client, 1 << 20):
                    received += data
            except ConnectionResetError:
                pass
    assert not received.endswith(b"0\r\n\r\n")


async def test_a_stream_that_breaks_off_ends_with_an_error_event(
    face: Any, pipeline: FakePipeline
) -> None:
    died = Unavailable(Refusal.ENGINE_DIED, "It died.")
    pipeline.script = Script(frames=(chunk("a"),), breaks=died)
    async with serving(face) as port:
        answer = await exchange_bytes(port, some_request("POST", CHAT, STREAM, AUTHORIZED))
    assert answer.complete
    assert b'data: {"error":{"message":"It died."' in answer.body


async def test_one_connection_takes_one_request_after_another(
    face: Any, pipeline: FakePipeline
) -> None:
    async with serving(face) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ids = set()
        for _ in range(3):
            writer.write(some_request("POST", CHAT, b"{}", AUTHORIZED, close=False))
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(len(pipeline.script.whole))
            ids.add(parse_answer(head + body).header("x-request-id"))
        writer.transport.abort()
    assert len(ids) == 3


class TestOpenAIsClient:
    async def test_chats_streams_and_lists(self, face: Any, pipeline: FakePipeline) -> None:
        message = {"role": "assistant", "content": "Hello."}
        whole = {
            "id": "1", "object": "chat.completion", "created": 1, "model": "echo-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }  # fmt: skip
        pipeline.script = Script(
            whole=json.dumps(whole).encode(),
            frames=(chunk("Hel"), chunk("lo.") + b"data: [DONE]\n\n"),
        )
        async with serving(face) as port, self.client(port) as client:
            ask: dict[str, Any] = {
                "model": "echo-1",
                "messages": [{"role": "user", "content": "hi"}],
            }
            answer = await client.chat.completions.create(**ask)
            assert answer.choices[0].message.content == "Hello."
            assert answer._request_id == pipeline.calls[0].request_id
            stream = await client.chat.completions.create(**ask, stream=True)
            texts = [part.choices[0].delta.content or "" async for part in stream]
            assert "".join(texts) == "Hello."
            assert [model.id async for model in client.models.list()] == ["echo-1"]
            assert (await client.models.retrieve("echo-1")).owned_by == "helixflow"

    async def test_raises_its_own_errors(self, face: Any, pipeline: FakePipeline) -> None:
        pipeline.script = Script(refuse=InvalidRequest(Refusal.INVALID_VALUE, "No.", param="n"))
        async with serving(face) as port, self.client(port) as client:
            with pytest.raises(BadRequestError) as bad:
                await client.completions.create(model="m", prompt="x")
            assert (bad.value.code, bad.value.param) == ("invalid_value", "n")
            with pytest.raises(NotFoundError):
                await client.models.retrieve("ghost")
        async with serving(face) as port, self.client(port, "wrong") as client:
            with pytest.raises(AuthenticationError):
                await client.models.list()

    def client(self, port: int, key: str = KEY) -> AsyncOpenAI:
        return AsyncOpenAI(api_key=key, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
