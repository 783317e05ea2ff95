"""HTTP faces under test: called in process, or served on a real socket and asked byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import uvicorn
from uvicorn.server import ServerState

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


@dataclass
class HttpAnswer:
    """What came back. `complete` is False where the answer broke off."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for found, value in self.headers if found == name]

    def header(self, name: str) -> str:
        """The one value of a header. Raises ValueError where there are several or none."""
        (value,) = self.all(name)
        return value

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The reason of a refusal."""
        code: str = self.json["error"]["code"]
        return code


def some_scope(method: str, path: str, headers: Headers = (), **more: Any) -> dict[str, Any]:
    """An ASGI scope as a server would make it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "client": ("203.0.113.7", 40_000),
        "server": ("127.0.0.1", 8000),
        **more,
    }


async def ask(
    app: Any,
    method: str,
    path: str,
    *,
    headers: Headers = (),
    pieces: Iterable[bytes] = (b"",),
    **scope: Any,
) -> HttpAnswer:
    """Call an ASGI app; the client stays until it is answered."""
    waiting = list(pieces)
    answer = HttpAnswer()

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(n.decode(), v.decode()) for n, v in message["headers"]]
        else:
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)

    await app(some_scope(method, path, headers, **scope), receive, send)
    return answer


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[int, None]:
    """Serve an app with uvicorn in the running loop; gives the port."""
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    config.load()
    state = ServerState()
    protocol: Any = config.http_protocol_class
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            transport: asyncio.WriteTransport | None = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)


def some_request(
    method: str, path: str, body: bytes = b"", *headers: str, close: bool = True
) -> bytes:
    """The bytes of a request with a body of announced length."""
    lines = [f"{method} {path} HTTP/1.1", "host: test", f"content-length: {len(body)}", *headers]
    if close:
        lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def exchange_bytes(port: int, *pieces: bytes) -> HttpAnswer:
    """Send bytes as they are and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
        return parse_answer(await reader.read(-1))
    finally:
        writer.transport.abort()


def parse_answer(raw: bytes) -> HttpAnswer:
    """An HTTP/1.1 answer from its bytes."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    split = [line.split(": ", 1) for line in lines]
    answer = HttpAnswer(int(first.split()[1]), [(name.lower(), value) for name, value in split])
    if answer.all("transfer-encoding"):
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            count = int(size, 16)
            answer.complete = count == 0
            answer.body, rest = answer.body + rest[:count], rest[count + 2 :]
    else:
        answer.body = rest
        answer.complete = len(rest) == int(answer.header("content-length"))
    return answer
