"""The first thing that sees a request, before Serve does.

Serve installs it through RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH (`middlewares`), because Serve
reads control headers, echoes request ids and buffers whole bodies before an app runs. The shield

- drops the headers by which a client would steer Serve, and forwarding headers: no proxy that we
  trust writes any, so whatever stands there came from a stranger;
- takes the client's address from the header that the stack's own HAProxy writes, and drops it. Its
  name is drawn by chance for each stack, so nobody else can write it; of several the last counts;
- gives every request an id of ours, in the request for Serve and once on every answer;
- refuses a body over the limit, by its announced length before anything of it is read, otherwise
  while it comes; nothing of it is kept.

Serve wraps its own RequestIdMiddleware inside the shield: it finds our id in the request and adds
that to the answer, where the shield leaves one.

Failure behavior: holds no state between requests and calls nobody; what it refuses never reaches
Serve. What Serve itself answers in plain text when it sheds or fails (no app has seen the request
then) goes out in OpenAI's form; its health pages under `/-/` stay as they are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import product

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helixflow.clock import SystemClock
from helixflow.errors import Overloaded, Refusal, Refused, TooLarge
from helixflow.gateway.http.errors import answer_of
from helixflow.gateway.http.meter import METER, SocketMeter
from helixflow.gateway.http.note import SCOPE_KEY, RequestNote
from helixflow.ids import mint_request_id
from helixflow.inference.bearings import take_bearings
from helixflow.inference.trace import TraceContext
from helixflow.settings import HttpSettings

BODY_BYTES_MAX_ENV = "HELIXFLOW_SHIELD_BODY_BYTES_MAX"
SOURCE_HEADER_ENV = "HELIXFLOW_SHIELD_SOURCE_HEADER"

_ADDRESS_CHARS_MAX = 64
_CLIENT_ID_CHARS_MAX = 128
_STEERING = (
    "forwarded",
    "serve-multiplexed-model-id",
    "x-data-parallel-rank",
    "x-real-ip",
    "x-request-disconnect-disabled",
    "x-request-id",
    "x-request-timeout-seconds",
    "x-session-id",
)


def _spellings(name: str) -> list[bytes]:
    """A header's name with every mix of `-` and `_`: Serve takes them for the same."""
    parts = name.split("-")
    return [
        "".join([*map("".join, zip(parts, between, strict=False)), parts[-1]]).encode()
        for between in product("-_", repeat=len(parts) - 1)
    ]


_DROPPED = frozenset(spelling for name in _STEERING for spelling in _spellings(name))
_DROPPED_PREFIXES = tuple(
    spelling + mark
    for name in ("x-forwarded", "x-serve-router")
    for spelling in _spellings(name)
    for mark in (b"-", b"_")
)


_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_CLOSE = (b"connection", b"close")
_SERVES_OWN = {
    500: Refused(Refusal.INTERNAL_ERROR, "The server had an error while processing your request."),
    503: Overloaded(Refusal.OVERLOADED, "The server has too many requests at once."),
}


def middlewares() -> list[Middleware]:
    """What Serve installs. Reads the environment (`BODY_BYTES_MAX_ENV`, `SOURCE_HEADER_ENV`)."""
    limit, source = os.environ.get(BODY_BYTES_MAX_ENV), os.environ.get(SOURCE_HEADER_ENV, "")
    body_bytes_max = int(limit) if limit else HttpSettings().body_bytes_max
    return [Middleware(Shield, body_bytes_max, source, METER)]


class Shield:
    """Pure ASGI middleware.

    Args:
        body_bytes_max: larger bodies are refused.
        source_header: where the proxy writes the client's address, in lower case; empty where no
            proxy of ours stands before the server.
        meter: counts what comes and how it is answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        body_bytes_max: int,
        source_header: str = "",
        meter: SocketMeter | None = None,
    ) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._source_header = source_header.encode() or None
        self._meter = meter or SocketMeter(SystemClock())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        length, client_id = self._strip(scope)
        trace = TraceContext.within(scope["headers"])
        note = RequestNote(mint_request_id(), client_id, _abort_of(send), trace)
        take_bearings(note.request_id, trace)
        request_id = note.request_id.encode()
        scope["headers"].append((b"x-request-id", request_id))
        scope[SCOPE_KEY] = note

        serves_own = scope["path"].startswith("/-/")
        answer = _Answer(send, request_id, serves_own)
        if scope["type"] != "http" or serves_own:
            await self._pass(scope, receive, answer, length)
            return
        opened = self._meter.open()
        try:
            await self._pass(scope, receive, answer, length)
        finally:
            self._meter.close(opened, note.route, answer.status)

    async def _pass(self, scope: Scope, receive: Receive, answer: _Answer, length: int) -> None:
        """Let it through, as far as its body is not too large."""
        if scope["type"] != "http" or 0 <= length <= self._body_bytes_max:
            await self._app(scope, receive, answer)
        elif length > self._body_bytes_max:
            await _refuse(answer, _too_large(self._body_bytes_max), _CLOSE)
        else:
            await _Counted(self._body_bytes_max, receive, answer).run(self._app, scope)

    def _strip(self, scope: Scope) -> tuple[int, str]:
        """Drop what steers; the announced length (-1: it is not known yet) and the client's id."""
        kept, length, client_id = [], 0, ""
        for header in scope["headers"]:
            name = header[0]
            if name in _DROPPED or name.startswith(_DROPPED_PREFIXES):
                if name == b"x-request-id":
                    client_id = header[1][:_CLIENT_ID_CHARS_MAX].decode("latin-1")
                continue
            if name == self._source_header:
                scope["client"] = (header[1].decode("latin-1")[:_ADDRESS_CHARS_MAX], 0)
                continue
            if name == b"content-length":
                length = int(header[1]) if header[1].isdigit() else -1
            elif name == b"transfer-encoding":
                length = -1
            kept.append(header)
        scope["headers"] = kept
        return length, client_id


class _Answer:
    """`send` that puts our request id on the answer, once.

    Attributes:
        status: of the answer; 0 before it.
    """

    __slots__ = ("_as_it_is", "_replaced", "_request_id", "_send", "status")

    def __init__(self, send: Send, request_id: bytes, as_it_is: bool) -> None:
        self._send = send
        self._request_id = request_id
        self._as_it_is = as_it_is
        self._replaced = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] in _STARTS:
            headers = [h for h in message.get("headers", ()) if h[0] != b"x-request-id"]
            headers.append((b"x-request-id", self._request_id))
            self.status = status = message.get("status", 0)
            if status in _SERVES_OWN and not self._as_it_is and _is_plain(headers):
                self._replaced = True
                await _refuse(self._send, _SERVES_OWN[status], headers[-1])
            message = {**message, "headers": headers}
        if not self._replaced:
            await self._send(message)


class _Counted:
    """A request whose body has no announced length: counted while it comes.

    Whoever reads it is told that the client is gone as soon as the limit is passed; the client has
    its answer by then, and whatever else would be answered goes nowhere.
    """

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self._limit = limit
        self._receive = receive
        self._send = send
        self._seen = 0
        self._refused = False
        self._answered = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._count, self._answer)
        except asyncio.CancelledError:
            # Serve ends a request whose client is gone this way.
            if not self._refused:
                raise

    async def _count(self) -> Message:
        if self._refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen <= self._limit:
            return message
        self._refused = True
        if not self._answered:
            await _refuse(self._send, _too_large(self._limit), _CLOSE)
        return {"type": "http.disconnect"}

    async def _answer(self, message: Message) -> None:
        self._answered = True
        if not self._refused:
            await self._send(message)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(Refusal.BODY_TOO_LARGE, f"The body is larger than {limit} bytes.")


async def _refuse(send: Send, refused: Refused, *more: tuple[bytes, bytes]) -> None:
    status, headers, body = answer_of(refused)
    headers.extend(more)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_plain(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/plain") for name, value in headers
    )


def _abort_of(send: Send) -> Callable[[], object] | None:
    """uvicorn has no extension for dropping a connection; its `send` belongs to what holds one."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    abort: Callable[[], object] | None = getattr(transport, "abort", None)
    return abort
