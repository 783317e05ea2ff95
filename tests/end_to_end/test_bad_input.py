"""What no client library would send, over plain sockets. Nothing else is disturbed by it."""

from __future__ import annotations

import asyncio
import json

import pytest

from .conftest import Stack, Wire

pytestmark = pytest.mark.stack

CHAT = "/v1/chat/completions"
GOOD = {"model": "echo-1", "messages": [{"role": "user", "content": "hi"}]}


def body(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    ("sent", "status", "code", "param"),
    [
        (b"{", 400, "invalid_json", None),
        (b"[]", 400, "invalid_type", None),
        (b'"text"', 400, "invalid_type", None),
        (b'{"model": "\xff"}', 400, "invalid_encoding", None),
        (body(model=7), 400, "invalid_type", "model"),
        (b'{"messages": []}', 400, "missing_required_parameter", "model"),
        (body(messages=[]), 400, "invalid_value", "messages"),
        (body(messages="hi"), 400, "invalid_type", "messages"),
        (body(messages=[{"content": "hi"}]), 400, "missing_required_parameter", "messages[0].role"),
        (body(max_tokens=-1), 400, "invalid_value", "max_tokens"),
        (body(max_tokens=10**12), 400, "invalid_value", "max_tokens"),
        (body(model="ecko-1"), 404, "model_not_found", "model"),
        (body(priority=1), 400, "unsupported_parameter", "priority"),
        (body(cache_salt="x"), 400, "unsupported_parameter", "cache_salt"),
        (body(request_id="mine"), 400, "unsupported_parameter", "request_id"),
        (body(n=10_000), 400, "invalid_value", "n"),
    ],
)
async def test_a_bad_body_is_refused_with_its_reason_and_parameter(
    wire: Wire, sent: bytes, status: int, code: str, param: str | None
) -> None:
    got, headers, answer = await wire.post(CHAT, sent)
    assert (got, answer["error"]["code"], answer["error"]["param"]) == (status, code, param)
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert headers["x-request-id"].startswith("req_")


async def test_an_unknown_model_names_the_nearest_one(wire: Wire) -> None:
    _, _, answer = await wire.post(CHAT, body(model="ecko-1"))
    assert "'echo-1'" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "missing_api_key"),
        ("nonsense", "invalid_api_key"),
        ("hx-proj-" + "a" * 50, "invalid_api_key"),
    ],
)
async def test_without_a_valid_key_everything_is_closed(
    wire: Wire, key: str | None, code: str
) -> None:
    status, headers, answer = await wire.post(CHAT, body(), key=key)
    assert (status, answer["error"]["code"]) == (401, code)
    assert "bearer" in headers["www-authenticate"].lower()
    assert key is None or key not in json.dumps(answer)


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        ("GET /v1/nothing", 404, "route_not_found"),
        ("DELETE /v1/chat/completions", 405, "method_not_allowed"),
        ("GET /v1/chat/completions", 405, "method_not_allowed"),
    ],
)
async def test_an_unknown_route_or_method_gets_an_openai_error(
    wire: Wire, stack: Stack, request_line: str, status: int, code: str
) -> None:
    raw = (
        f"{request_line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"authorization: Bearer {stack.api_key}\r\n\r\n"
    )
    got, _, answer = await wire.send(raw.encode())
    assert (got, answer["error"]["code"]) == (status, code)


async def test_a_body_over_the_limit_is_refused_before_it_is_read(wire: Wire, stack: Stack) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.api_key}\r\n"
        "content-length: 1000000000\r\n\r\n"
    )
    status, _, answer = await wire.send(head.encode() + b"{", timeout_s=5)
    assert (status, answer["error"]["code"]) == (413, "body_too_large")


async def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(
    wire: Wire, stack: Stack
) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {stack.api_key}\r\n"
        "transfer-encoding: chunked\r\n\r\n"
    )
    chunk = b"%x\r\n%s\r\n" % (1024 * 1024, b" " * 1024 * 1024)
    status, _, answer = await wire.send(head.encode() + chunk * 5, timeout_s=10)
    assert (status, answer["error"]["code"]) == (413, "body_too_large")


async def test_headers_that_steer_serve_have_no_effect(wire: Wire) -> None:
    steering = (
        "x-request-timeout-seconds: 0.000001",
        "x-request-disconnect-disabled: ?1",
        "x-forwarded-for: 6.6.6.6",
        "x-request-id: mine",
        "serve_multiplexed_model_id: x",
    )
    status, headers, _ = await wire.post(CHAT, body(), *steering)
    assert status == 200
    assert headers["x-request-id"].startswith("req_")


async def test_garbage_disturbs_nobody_else(wire: Wire) -> None:
    good = [wire.post(CHAT, body()) for _ in range(20)]
    bad = [wire.post(CHAT, b"\x00\xff{" * 100) for _ in range(20)]
    answers = await asyncio.gather(*good, *bad)
    assert [status for status, _, _ in answers] == [200] * 20 + [400] * 20


async def test_the_documentation_is_served_without_the_internet(wire: Wire) -> None:
    for path in ("/openapi.json", "/docs", "/healthz", "/readyz"):
        raw = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        status, _, answer = await wire.send(raw.encode())
        assert status == 200
        assert "https://" not in str(answer) or path == "/openapi.json"


async def test_readiness_says_which_model_is_not_ready_and_why(wire: Wire) -> None:
    raw = b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    _, _, answer = await wire.send(raw)
    states = {model["id"]: model["state"] for model in answer["models"]}
    assert states["echo-1"] == "ready"
    assert states["broken"] == "failed"
