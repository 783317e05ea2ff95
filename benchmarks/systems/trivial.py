"""The least that can answer: fixed bytes from an asyncio server in a process of its own.

Not a peer: what the load generator reaches against it is the generator's own ceiling.
`python -m benchmarks.systems.trivial PORT` answers a body that asks for a stream with the ready
stream, any other with the ready answer.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

from benchmarks.systems.ready_answers import stream_events, whole

_PLAIN_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Answerer(asyncio.Protocol):
    """Answers every request that comes in one piece, as those of the load generator do."""

    def __init__(self, plain: bytes, chunks: list[bytes]) -> None:
        self._plain = plain
        self._chunks = chunks
        self._transport: asyncio.Transport | None = None
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if b'"stream":true' in data:
            self._stream = asyncio.ensure_future(self._send(self._transport))
        else:
            self._transport.write(self._plain)

    async def _send(self, transport: asyncio.Transport) -> None:
        transport.write(_STREAM_HEAD)
        for chunk in self._chunks:
            transport.write(chunk)
            await asyncio.sleep(0)
        transport.write(b"0\r\n\r\n")


async def serve(port: int, tokens: int = 16, stream_tokens: int = 100) -> None:
    """Serve on loopback until cancelled."""
    body = whole(tokens)
    plain = _PLAIN_HEAD % len(body) + body
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in stream_events(stream_tokens)]
    server = await asyncio.get_running_loop().create_server(
        lambda: Answerer(plain, chunks), "127.0.0.1", port
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
