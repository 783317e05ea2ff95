from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from helixflow.gateway.http.meter import METER
from helixflow.gateway.http.note import RequestNote, note_of
from helixflow.gateway.http.shield import (
    BODY_BYTES_MAX_ENV,
    SOURCE_HEADER_ENV,
    Shield,
    middlewares,
)
from helixflow.settings import HttpSettings
from helixflow.testing.http import HttpAnswer, ask, some_scope

LIMIT = 10


class Inner:
    """An app that reads the whole body and keeps what it saw."""

    def __init__(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        self.headers = list(headers)
        self.status = status
        self.scope: dict[str, Any] = {}
        self.body = b""
        self.gone = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        more = True
        while more:
            message = await receive()
            self.gone = message["type"] == "http.disconnect"
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        await send({"type": "http.response.body", "body": b"answer"})
        if self.gone:
            raise asyncio.CancelledError  # as Serve ends such a request


async def through(inner: Any, **request: Any) -> HttpAnswer:
    return await ask(Shield(inner, LIMIT), "POST", request.pop("path", "/x"), **request)


class TestSteering:
    @pytest.mark.parametrize(
        "name",
        [
            "x-request-timeout-seconds", "x-request-disconnect-disabled", "x-request-id",
            "serve_multiplexed_model_id", "serve-multiplexed-model-id",
            "serve_multiplexed-model_id", "x-session-id", "x_session_id", "forwarded",
            "x-forwarded-for", "x_forwarded_for", "x-forwarded-proto", "x-real-ip",
            "x-serve-router-anything", "x-data-parallel-rank",
        ],
    )  # fmt: skip
    async def test_headers_that_steer_are_gone(self, name: str) -> None:
        inner = Inner()
        await through(inner, headers=[(name.encode(), b"1"), (b"accept", b"*/*")])
        kept = [header for header in inner.scope["headers"] if header[0] != b"x-request-id"]
        assert kept == [(b"accept", b"*/*")]

    async def test_all_other_headers_stay_in_their_order(self) -> None:
        inner = Inner()
        headers = [(b"host", b"h"), (b"authorization", b"Bearer k"), (b"traceparent", b"00-1")]
        await through(inner, headers=headers)
        assert inner.scope["headers"][:-1] == headers


class TestRequestIds:
    async def test_every_request_gets_one_of_ours(self) -> None:
        inner = Inner()
        answer = await through(inner, headers=[(b"x-request-id", b"mine")])
        note = note_of(inner.scope)
        assert answer.header("x-request-id") == note.request_id
        assert note.request_id.startswith("req_")
        assert inner.scope["headers"] == [(b"x-request-id", note.request_id.encode())]
        assert note.client_request_id == "mine"

    async def test_what_the_client_called_it_is_cut(self) -> None:
        inner = Inner()
        await through(inner, headers=[(b"x-request-id", b"\xff" * 1000)])
        assert note_of(inner.scope).client_request_id == "\xff" * 128

    async def test_an_answer_that_has_one_already_keeps_only_ours(self) -> None:
        inner = Inner((b"x-request-id", b"a"), (b"x-request-id", b"b"))
        answer = await through(inner)
        assert answer.header("x-request-id") == note_of(inner.scope).request_id

    async def test_no_two_requests_share_one(self) -> None:
        inner = Inner()
        assert len({(await through(inner)).header("x-request-id") for _ in range(50)}) == 50

    def test_a_note_survives_pickling_without_its_connection(self) -> None:
        note = RequestNote(note_of({}).request_id, "mine", abort=lambda: None)
        copy = pickle.loads(pickle.dumps(note))
        assert (copy.request_id, copy.client_request_id) == (note.request_id, "mine")
        assert copy.abort is None

    async def test_a_websocket_gets_one_too(self) -> None:
        sent: list[Any] = []

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "x"})

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any: ...

        scope = some_scope("GET", "/x", type="websocket")
        await Shield(inner, LIMIT)(scope, receive, send)
        assert sent[0]["headers"] == [(b"x-request-id", note_of(scope).request_id.encode())]
        assert sent[1] == {"type": "websocket.send", "text": "x"}

    async def test_the_lifespan_passes_untouched(self) -> None:
        seen: list[Any] = []

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            seen.append((scope, receive, send))

        arguments = ({"type": "lifespan"}, object(), object())
        await Shield(inner, LIMIT)(*arguments)  # type: ignore[arg-type]
        assert seen == [arguments]


class TestBodies:
    @pytest.mark.parametrize("size", [0, 1, LIMIT])
    async def test_up_to_the_limit_they_pass(self, size: int) -> None:
        inner = Inner()
        body = b"x" * size
        length = [(b"content-length", b"%d" % size)]
        assert (await through(inner, headers=length, pieces=[body])).body == b"answer"
        assert inner.body == body

    @pytest.mark.parametrize("length", [b"11", b"1000000000", b"9" * 40])
    async def test_an_announced_length_over_it_is_refused_without_reading(
        self, length: bytes
    ) -> None:
        inner = Inner()
        answer = await through(inner, headers=[(b"content-length", length)], pieces=[])
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert answer.header("connection") == "close"
        assert answer.header("x-request-id").startswith("req_")
        assert inner.scope == {}

    @pytest.mark.parametrize(
        "headers", [[(b"transfer-encoding", b"chunked")], [(b"content-length", b"-5")]]
    )
    async def test_without_an_honest_length_they_are_counted(self, headers: Any) -> None:
        inner = Inner()
        answer = await through(inner, headers=headers, pieces=[b"x" * 5, b"x" * 5])
        assert (answer.status, inner.body) == (200, b"x" * 10)
        inner = Inner()
        pieces = [b"x" * 5, b"x" * 6, b"x" * 100]
        answer = await through(inner, headers=headers, pieces=pieces)
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert answer.header("connection") == "close"
        assert inner.gone
        assert inner.body == b"x" * 5

    async def test_a_reader_that_asks_again_is_told_again_that_the_client_is_gone(self) -> None:
        seen: list[str] = []

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            seen.extend([(await receive())["type"] for _ in range(3)])

        await through(inner, headers=[(b"transfer-encoding", b"chunked")], pieces=[b"x" * 11])
        assert seen == ["http.disconnect"] * 3

    async def test_an_answer_that_has_begun_is_not_followed_by_another(self) -> None:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            await send({"type": "http.response.body", "body": b"late"})

        chunked = [(b"transfer-encoding", b"chunked")]
        answer = await through(inner, headers=chunked, pieces=[b"x" * 11])
        assert (answer.status, answer.body) == (200, b"")

    async def test_a_cancellation_from_outside_is_passed_on(self) -> None:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await through(inner, headers=[(b"transfer-encoding", b"chunked")])


class TestServesOwnAnswers:
    PLAIN = (b"content-type", b"text/plain")

    @pytest.mark.parametrize(("status", "code"), [(503, "overloaded"), (500, "internal_error")])
    async def test_plain_refusals_of_serve_become_openais(self, status: int, code: str) -> None:
        answer = await through(Inner(self.PLAIN, status=status))
        assert (answer.status, answer.code) == (status, code)
        assert len(answer.all("x-request-id")) == 1
        assert bool(answer.all("retry-after")) == (status == 503)

    async def test_its_health_pages_stay_as_they_are(self) -> None:
        answer = await through(Inner(self.PLAIN, status=503), path="/-/healthz")
        assert (answer.status, answer.body) == (503, b"answer")

    async def test_other_answers_stay_as_they_are(self) -> None:
        json_type = (b"content-type", b"application/json")
        assert (await through(Inner(json_type, status=503))).body == b"answer"
        assert (await through(Inner(self.PLAIN, status=200))).body == b"answer"


class TestInstallation:
    @pytest.mark.parametrize(
        ("environment", "limit"),
        [(None, HttpSettings().body_bytes_max), ("", HttpSettings().body_bytes_max), ("77", 77)],
    )
    def test_serve_is_given_a_shield_with_the_limit_of_the_environment(
        self, environment: str | None, limit: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(BODY_BYTES_MAX_ENV, raising=False)
        if environment is not None:
            monkeypatch.setenv(BODY_BYTES_MAX_ENV, environment)
        (middleware,) = middlewares()
        assert (middleware.cls, middleware.args) == (Shield, (limit, "", METER))

    def test_the_header_of_the_stacks_own_proxy_comes_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(SOURCE_HEADER_ENV, "x-our-source")
        (middleware,) = middlewares()
        assert middleware.args[1] == "x-our-source"


class TestSource:
    async def source(self, *headers: tuple[bytes, bytes], named: str = "x-ours") -> Any:
        inner = Inner()
        shield = Shield(inner, LIMIT, named)
        await ask(shield, "POST", "/x", headers=headers, client=("127.0.0.1", 5))
        assert b"x-ours" not in dict(inner.scope["headers"]) or not named
        return inner.scope["client"][0]

    async def test_the_address_is_what_our_proxy_wrote_last(self) -> None:
        assert await self.source((b"x-ours", b"10.0.0.1"), (b"x-ours", b"10.0.0.2")) == "10.0.0.2"
        assert len(await self.source((b"x-ours", b"1" * 500))) == 64

    async def test_without_it_the_address_is_the_connections(self) -> None:
        assert await self.source((b"x-forwarded-for", b"10.0.0.1")) == "127.0.0.1"
        assert await self.source((b"x-ours", b"10.0.0.1"), named="") == "127.0.0.1"
