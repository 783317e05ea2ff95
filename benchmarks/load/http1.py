"""HTTP/1.1 as far as a load generator needs it (RFC 9112): one response at a time, no I/O.

Bodies with a length and chunked bodies are read; a response that is ended by closing the
connection is refused, because a broken answer could not be told from a whole one.
"""

from __future__ import annotations

from benchmarks.load.plan import Target

HEAD_BYTES_MAX = 64 * 1024


class BadResponse(Exception):
    """What came is not an HTTP response that can be read; the message is one word."""


def encode(target: Target, body: bytes, method: str = "POST") -> bytes:
    """A whole request."""
    lines = [
        f"{method} {target.path} HTTP/1.1",
        f"Host: {target.host}:{target.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in target.headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Response:
    """One response being received. `status` is 0 until the head is read.

    Attributes:
        retry_after: whether it says when to come back.
    """

    __slots__ = (
        "_chunked", "_left", "_pending", "_stage", "complete", "keep_alive", "retry_after",
        "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status = 0
        self.complete = False
        self.keep_alive = True
        self.retry_after = False
        self._pending = b""
        self._chunked = False
        self._left = 0
        self._stage = _SIZE

    def feed(self, data: bytes) -> bytes:
        """The part of the body that `data` carries; sets `complete` with its last byte.

        Raises BadResponse.
        """
        if self.complete:
            raise BadResponse("bytes_after_answer")
        if self._pending:
            data, self._pending = self._pending + data, b""
        if not self.status:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > HEAD_BYTES_MAX:
                    raise BadResponse("head_too_long")
                self._pending = data
                return b""
            self._read_head(data[:end])
            data = data[end + 4 :]
        return self._read_chunks(data) if self._chunked else self._read_counted(data)

    def _read_head(self, head: bytes) -> None:
        first, _, rest = head.partition(b"\r\n")
        parts = first.split(b" ", 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
            raise BadResponse("bad_head")
        self.status = int(parts[1])
        fields = b"\r\n" + rest.lower() + b"\r\n"
        self.keep_alive = b"\r\nconnection: close\r\n" not in fields
        self.retry_after = b"\r\nretry-after:" in fields
        self._chunked = b"\r\ntransfer-encoding: chunked\r\n" in fields
        if self._chunked:
            return
        at = fields.find(b"\r\ncontent-length:")
        if at < 0:
            raise BadResponse("no_length")
        value = fields[at + 17 : fields.index(b"\r\n", at + 2)].strip()
        if not value.isdigit():
            raise BadResponse("bad_length")
        self._left = int(value)

    def _read_counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise BadResponse("bytes_after_answer")
        self.complete = self._left == 0
        return data

    def _read_chunks(self, data: bytes) -> bytes:
        pieces, at, length = [], 0, len(data)
        while at < length and not self.complete:
            if self._stage == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._stage = _BREAK
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._pending = data[at:]
                break
            self._read_line(data[at:end])
            at = end + 2
        if self.complete and at < length:
            raise BadResponse("bytes_after_answer")
        return b"".join(pieces)

    def _read_line(self, line: bytes) -> None:
        """A chunk's size, the line break after its data, or a trailer line."""
        if self._stage == _SIZE:
            try:
                self._left = int(line.partition(b";")[0], 16)
            except ValueError:
                raise BadResponse("bad_chunk") from None
            self._stage = _DATA if self._left else _TRAILER
        elif self._stage == _BREAK:
            if line:
                raise BadResponse("bad_chunk")
            self._stage = _SIZE
        elif not line:
            self.complete = True


_SIZE, _DATA, _BREAK, _TRAILER = "size", "data", "break", "trailer"
