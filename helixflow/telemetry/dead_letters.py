"""Where events lie that a sink will never take: one JSON file each, for a person to look at.

A letter is called by its sink, its source and its number, so that writing it twice leaves one. Its
ending says how it stands with it:

    usage-ingress-1f-7.json          it lies there
    usage-ingress-1f-7.replay        somebody wants it to be tried once more (`helixflow telemetry`)
    usage-ingress-1f-7.3.writing     the actor (redelivery.py) is at it, under its own number 3

Failure behavior: a letter is on the disk (fsync) when `write` returns. Where the folder holds its
bound of bytes, or the disk fails, `write` raises OSError; then the event is not given up.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from helixflow.signals import Event, EventKind
from helixflow.telemetry.logs import redact
from helixflow.telemetry.wire import Unreadable, decode_event

LYING, QUEUED, UNDER_WAY = ".json", ".replay", ".writing"
_REASON_CHARACTERS_MAX = 500


class Letter(msgspec.Struct, frozen=True):
    """An event that a sink did not take, and why; `event` is as it is shown."""

    sink: str
    source: str
    sequence: int
    reason: str
    event: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called, without its ending."""
        return f"{self.sink}-{self.source}-{self.sequence}"

    def read_event(self) -> Event:
        """The event. Raises ValueError where this version cannot read it."""
        told = self.event
        if "unreadable" in told:
            return decode_event(bytes.fromhex(told["unreadable"]))
        try:
            kind = EventKind(told["kind"])
            return Event(kind, float(told["at"]), str(told["id"]), dict(told["facts"]))
        except (KeyError, TypeError) as error:
            raise ValueError("the letter holds no event") from error


def letters_of(home: Path) -> Path:
    """Where the dead letters of a stack lie."""
    return home / "dead-letters"


def read_letter(path: Path) -> Letter:
    """A letter. Raises ValueError for what is none, OSError where it cannot be read."""
    return msgspec.json.decode(path.read_bytes(), type=Letter)


def rename(path: Path, ending: str) -> Path:
    """Give a letter another ending, on the disk. Raises OSError."""
    name, _, _ = path.name.partition(".")
    to = path.with_name(name + ending)
    path.rename(to)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return to


class DeadLetters:
    """A folder of dead letters; made when the first one is written."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max

    def wanted(self, most: int) -> list[Path]:
        """Those that are to be tried once more, begun ones first; at most so many of the others."""
        begun = sorted(self._folder.glob(f"*{UNDER_WAY}"))
        return [*begun, *sorted(self._folder.glob(f"*{QUEUED}"))[:most]]

    async def write(
        self, sink: str, source: str, sequence: int, event: Event | Unreadable, reason: str
    ) -> None:
        """Lay an event down. Raises OSError."""
        shortened = redact(reason)[:_REASON_CHARACTERS_MAX]
        await self.put(Letter(sink, source, sequence, shortened, dict(_shown(event))))

    async def put(self, letter: Letter) -> None:
        """Lay a letter down, in place of one of its name. Raises OSError."""
        data = msgspec.json.encode(letter)
        await asyncio.to_thread(self._put, letter.name + LYING, data)

    def _put(self, name: str, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = sum(_size(path) for path in _others(self._folder.iterdir(), name))
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


def _others(paths: Iterable[Path], name: str) -> Iterable[Path]:
    """Without the one that is replaced."""
    return (path for path in paths if path.name != name)


def _size(path: Path) -> int:
    """Of a file that may be given another name meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _shown(event: Event | Unreadable) -> Mapping[str, object]:
    if isinstance(event, Unreadable):
        return {"unreadable": event.hex()}
    facts = dict(event.facts)
    return {"kind": event.kind.value, "at": event.at, "id": event.id, "facts": facts}
