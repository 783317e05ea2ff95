"""Whose a journal is: a lock file in its folder, held by the process that writes or adopts it.

The lock goes with its holder, whatever ends it; then any process on the node may take it. A folder
gets its name only once it is locked, so that nobody adopts a journal at its birth.

Failure behavior: what another process holds, or has removed, is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

_LOCK = "lock"
_UNBORN = "."
_BIRTH_S = 3600.0


@dataclass(frozen=True, slots=True)
class JournalLock:
    """A journal's folder that this process holds.

    Attributes:
        folder: called by its source.
    """

    folder: Path
    _file: int

    @staticmethod
    def create(root: Path, source: str) -> JournalLock:
        """Make and take the folder of a source. Raises OSError."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        unborn, folder = root / f"{_UNBORN}{source}", root / source
        unborn.mkdir(mode=0o700)
        try:
            file = os.open(unborn / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                flock(file, LOCK_EX | LOCK_NB)
                unborn.rename(folder)
            except OSError:
                os.close(file)
                raise
        except OSError:
            _delete(unborn)
            raise
        return JournalLock(folder, file)

    @staticmethod
    def orphans(root: Path, now: float) -> Iterator[JournalLock]:
        """Take the journals whose process is gone, one after the other. Raises OSError.

        `now` is in epoch seconds: what was never finished is removed after an hour.
        """
        for folder in sorted(root.iterdir()) if root.is_dir() else []:
            if folder.name.startswith(_UNBORN):
                _clear(folder, now)
                continue
            try:
                file = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            except OSError:  # no journal, or one that somebody is removing
                continue
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except OSError:
                os.close(file)
                continue
            yield JournalLock(folder, file)

    def release(self) -> None:
        """Let others adopt it."""
        os.close(self._file)

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        _delete(self.folder)
        os.close(self._file)


def _clear(unborn: Path, now: float) -> None:
    """Remove a folder whose process died before it could name it."""
    with suppress(OSError):
        if unborn.stat().st_mtime < now - _BIRTH_S:
            _delete(unborn)


def _delete(folder: Path) -> None:
    with suppress(OSError):
        for path in sorted(folder.iterdir(), key=lambda path: path.name == _LOCK):
            path.unlink(missing_ok=True)
        folder.rmdir()
