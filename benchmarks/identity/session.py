"""One kept-alive HTTP connection for measurements that are no load.

Failure behavior: what breaks the connection, or takes longer than `limit_s`, raises `LoadFailed`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from benchmarks.load.crew import LoadFailed
from benchmarks.load.http1 import BadResponse, Response, encode
from benchmarks.load.plan import Target

_READ_BYTES = 65_536


class Session:
    """Requests one after the other with one credential. Open it with `connect`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: tuple[str, int],
        credential: str,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._headers = {"authorization": f"Bearer {credential}"}

    @classmethod
    async def connect(cls, host: str, port: int, credential: str) -> Session:
        """A fresh connection."""
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise LoadFailed(f"no connection: {error}") from None
        return cls(reader, writer, (host, port), credential)

    async def ask(
        self, method: str, path: str, body: Any = None, limit_s: float = 10.0
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        host, port = self._address
        sent = b"" if body is None else json.dumps(body).encode()
        response, pieces = Response(), []
        try:
            async with asyncio.timeout(limit_s):
                self._writer.write(encode(Target(host, port, path, self._headers), sent, method))
                while not response.complete:
                    data = await self._reader.read(_READ_BYTES)
                    if not data:
                        raise LoadFailed("the connection was closed")
                    pieces.append(response.feed(data))
        except (OSError, TimeoutError, BadResponse) as error:
            raise LoadFailed(f"{method} {path}: {type(error).__name__} {error}") from None
        return response.status, b"".join(pieces)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A call that must succeed, and its answer."""
        status, answer = await self.ask(method, path, body)
        if status not in (200, 201):
            raise LoadFailed(f"{method} {path} was answered with {status}")
        decoded: dict[str, Any] = json.loads(answer)
        return decoded

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return
