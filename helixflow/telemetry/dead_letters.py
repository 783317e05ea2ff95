"""Where events lie that a sink will never take: one JSON file each, for a person to look at.

A letter is called by its sink, its source and its number, so that writing it twice leaves one.

Failure behavior: a letter is on the disk (fsync) when `write` returns. Where the folder holds its
bound of bytes, or the disk fails, `write` raises OSError; then the event is not given up.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from helixflow.signals import Event
from helixflow.telemetry.logs import redact
from helixflow.telemetry.wire import Unreadable

_REASON_CHARACTERS_MAX = 500


class DeadLetters:
    """A folder of dead letters; made when the first one is written."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max

    async def write(
        self, sink: str, source: str, sequence: int, event: Event | Unreadable, reason: str
    ) -> None:
        """Lay an event down. Raises OSError."""
        letter = {
            "sink": sink,
            "source": source,
            "sequence": sequence,
            "reason": redact(reason)[:_REASON_CHARACTERS_MAX],
            "event": _shown(event),
        }
        name = f"{sink}-{source}-{sequence}.json"
        await asyncio.to_thread(self._put, name, msgspec.json.encode(letter))

    def _put(self, name: str, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = sum(path.stat().st_size for path in self._folder.glob("*.json"))
        if held + len(data) > self._bytes_max:
            raise OSError(errno.EDQUOT, "the dead-letter folder holds its bound of bytes")
        path = self._folder / name
        unfinished = path.with_suffix(".unfinished")
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            os.fsync(file)
        finally:
            os.close(file)
        unfinished.rename(path)


def _shown(event: Event | Unreadable) -> Mapping[str, object]:
    if isinstance(event, Unreadable):
        return {"unreadable": event.hex()}
    facts = dict(event.facts)
    return {"kind": event.kind.value, "at": event.at, "id": event.id, "facts": facts}
