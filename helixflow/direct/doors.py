"""The doors that an Ingress sees: which replicas of a model it can call directly.

A model's folder is looked at when a request needs it, at most ten times a second, and read again
where it changed. Of several doors the one with the fewest of this Ingress's requests is taken.

Failure behavior: a door at which nobody listens is forgotten and its file removed. A replica that
said that its engine died rests for a second, so that the next try goes elsewhere.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from helixflow.clock import Clock
from helixflow.direct.channel import Channel
from helixflow.direct.place import connect, folder_of

_LOOK_S = 0.1
_REST_S = 1.0
_IDLE_MAX = 256


class SeenDoor:
    """A replica's door as an Ingress sees it.

    Attributes:
        ongoing: requests of this Ingress that it is answering.
        rests_until: monotonic seconds; before them only others are taken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ongoing = 0
        self.rests_until = float("-inf")
        self._idle: list[Channel] = []

    async def channel(self) -> Channel:
        """A connection on which nothing is under way. Raises OSError where there is none."""
        while self._idle:
            channel = self._idle.pop()
            if not channel.lost:
                return channel
        loop = asyncio.get_running_loop()
        _, made = await loop.create_unix_connection(Channel, sock=connect(self.path))
        return made

    def give_back(self, channel: Channel) -> None:
        """Keep a connection for the next exchange, or close it where its own is not complete."""
        if channel.idle and not channel.lost and len(self._idle) < _IDLE_MAX:
            self._idle.append(channel)
        else:
            channel.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        for channel in self._idle:
            channel.close()
        self._idle.clear()


class _Folder:
    """The doors of one model."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.doors: list[SeenDoor] = []
        self._looked_at = float("-inf")
        self._changed_ns = 0

    def look(self, now: float) -> None:
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        try:
            changed_ns = self.path.stat().st_mtime_ns
            if changed_ns == self._changed_ns:
                return
            names = {each.name for each in self.path.iterdir() if not each.name.startswith(".")}
        except OSError:
            changed_ns, names = 0, set()
        self._changed_ns = changed_ns
        for door in [door for door in self.doors if door.path.name not in names]:
            self.forget(door)
        known = {door.path.name for door in self.doors}
        self.doors.extend(SeenDoor(self.path / name) for name in sorted(names - known))

    def close(self) -> None:
        for door in self.doors:
            door.close()

    def forget(self, door: SeenDoor) -> None:
        door.close()
        with suppress(ValueError):
            self.doors.remove(door)


class Doors:
    """All doors of this machine.

    Args:
        run: the stack's run folder (see `place.folder_of`).
        folders_max: models that are remembered; beyond them the first is forgotten, to be looked up
            again when it is asked for.
    """

    def __init__(self, run: Path, clock: Clock, folders_max: int = 4096) -> None:
        self._run = run
        self._clock = clock
        self._folders_max = folders_max
        self._folders: dict[str, _Folder] = {}
        self._turn = 0

    @property
    def known(self) -> int:
        """Models whose doors are remembered."""
        return len(self._folders)

    def choose(self, model: str) -> tuple[SeenDoor | None, int]:
        """The door to take, or None, and how many there are.

        Args:
            model: a name from the registry.
        """
        folder = self._folders.get(model)
        if folder is None:
            folder = self._add(model)
        now = self._clock.monotonic()
        folder.look(now)
        doors = folder.doors
        if len(doors) == 1:
            return (doors[0] if doors[0].rests_until <= now else None), 1
        best: SeenDoor | None = None
        self._turn += 1
        for index in range(len(doors)):
            door = doors[(index + self._turn) % len(doors)]
            if door.rests_until <= now and (best is None or door.ongoing < best.ongoing):
                best = door
        return best, len(doors)

    def _add(self, model: str) -> _Folder:
        if len(self._folders) >= self._folders_max:
            self._folders.pop(next(iter(self._folders))).close()
        folder = self._folders[model] = _Folder(folder_of(self._run, model))
        return folder

    def rest(self, door: SeenDoor) -> None:
        """Take others for a while."""
        door.rests_until = self._clock.monotonic() + _REST_S

    def gone(self, model: str, door: SeenDoor) -> None:
        """Nobody listens there any more."""
        folder = self._folders.get(model)
        if folder is not None:
            folder.forget(door)
        with suppress(OSError):
            door.path.unlink()

    def close(self) -> None:
        """Close every connection that is not in use."""
        for folder in self._folders.values():
            folder.close()
