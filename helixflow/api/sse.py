"""Server-sent events as OpenAI streams them.

An event is one `data:` line and an empty line (WHATWG HTML, "Server-sent events"). A stream ends
with `data: [DONE]`. What is sent here is always one line per event; what is read may be anything
that the standard allows.
"""

from __future__ import annotations

from collections.abc import Iterator

DONE = b"data: [DONE]\n\n"


def event(data: bytes) -> bytes:
    """One event around `data`, which must not hold a line break (JSON never does)."""
    return b"data: " + data + b"\n\n"


class Decoder:
    """Turns received bytes into the data of whole events, however the bytes were cut."""

    def __init__(self, pending_bytes_max: int = 16 * 1024 * 1024) -> None:
        self._pending = b""
        self._pending_bytes_max = pending_bytes_max
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield the data of every event that `received` completes, `[DONE]` included.

        Raises ValueError where an event grows past the bound.
        """
        *lines, self._pending = (self._pending + received).split(b"\n")
        held = len(self._pending) + sum(map(len, self._data))
        if held > self._pending_bytes_max:
            raise ValueError(f"an event is longer than {self._pending_bytes_max} bytes")
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    yield b"\n".join(self._data)
                    self._data.clear()
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
