"""The hot routes: raw ASGI around the pipeline, nothing per request that is not needed.

Failure behavior: a refusal before the first byte has its own status; after it, it is one
`data: {"error": ...}` event and the end of the stream. A client that hangs up cancels its exchange,
streaming or not. One that stops reading for `slow_reader_s` has its exchange ended and its
connection dropped, so that it sees an answer that broke off and not one that ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType

from starlette.types import Receive, Scope, Send

from helixflow.api.error_body import error_body
from helixflow.api.sse import event
from helixflow.clock import Clock
from helixflow.errors import Refusal, Refused
from helixflow.gateway.http.credential import bearer, source_of
from helixflow.gateway.http.errors import answer_of, internal_error
from helixflow.gateway.http.line import HungUp, Line
from helixflow.gateway.http.note import RequestNote, note_of
from helixflow.gateway.http.ports import Answer, Service
from helixflow.inference.deadline import Deadline
from helixflow.inference.request import Call, Operation
from helixflow.settings import GatewaySettings, HttpSettings

HOT_ROUTES: Mapping[str, Operation] = MappingProxyType(
    {
        "/v1/chat/completions": Operation.CHAT,
        "/v1/completions": Operation.COMPLETION,
    }
)
"""Answered by `POST` on exactly these paths, before any other routing."""

_log = logging.getLogger(__name__)

_JSON = (b"content-type", b"application/json")
_SSE = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class Generation:
    """Answers the hot routes."""

    def __init__(
        self, service: Service, http: HttpSettings, gateway: GatewaySettings, clock: Clock
    ) -> None:
        self._service = service
        self._slow_reader_s = http.slow_reader_s
        self._request_s = gateway.request_s
        self._clock = clock

    async def answer(
        self, operation: Operation, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request."""
        note = note_of(scope)
        deadline = Deadline.after(self._clock.monotonic(), self._request_s)
        async with Line(receive, send, self._slow_reader_s) as line:
            reply = _Reply(line)
            try:
                body = await line.body()
                line.watch()
                call = self._call(operation, scope, note, body, deadline)
                async with self._service.exchange(call) as answer:
                    await reply.give(answer)
            except Refused as refused:
                await self._refuse(reply, refused, note)
            except HungUp:
                return
            except Exception as error:  # whatever it is, the client gets an answer
                await self._refuse(reply, internal_error(error, note.request_id), note)

    def _call(
        self,
        operation: Operation,
        scope: Scope,
        note: RequestNote,
        body: bytes,
        deadline: Deadline,
    ) -> Call:
        return Call(
            operation,
            body,
            bearer(scope["headers"]),
            note.request_id,
            deadline,
            source_of(scope),
            note.client_request_id,
            note.trace,
        )

    async def _refuse(self, reply: _Reply, refused: Refused, note: RequestNote) -> None:
        if refused.reason is not Refusal.SLOW_READER:
            try:
                await reply.refuse(refused)
            except Refused as slow:
                refused = slow
        if refused.reason is Refusal.SLOW_READER:
            _log.info("request %s: %s", note.request_id, refused.message)
            await _drop(note)


class _Reply:
    """What has gone out of one answer so far."""

    __slots__ = ("_line", "_started")

    def __init__(self, line: Line) -> None:
        self._line = line
        self._started = False

    async def give(self, answer: Answer) -> None:
        """Send an answer, whole or as it comes."""
        send = self._line.send
        if not answer.streaming:
            body = answer.first
            length = (b"content-length", b"%d" % len(body))
            await self._start(200, [_JSON, length, *answer.headers])
            await send({"type": "http.response.body", "body": body})
            return
        await self._start(200, [*_SSE, *answer.headers])
        await send({"type": "http.response.body", "body": answer.first, "more_body": True})
        async for data in answer.rest():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def refuse(self, refused: Refused) -> None:
        """Send a refusal in the form that is still possible."""
        if self._started:
            body = event(error_body(refused))
        else:
            status, headers, body = answer_of(refused)
            await self._start(status, headers)
        await self._line.send({"type": "http.response.body", "body": body})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._started = True
        await self._line.send({"type": "http.response.start", "status": status, "headers": headers})


async def _drop(note: RequestNote) -> None:
    """Drop the connection; where the server gives no way, an unfinished answer makes it close."""
    if note.abort is not None:
        note.abort()
        await asyncio.sleep(0)  # lets the server notice before it looks at the unfinished answer
