"""The files of a journal: numbered segments, a marker that says that there were some, and a lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from helixflow.errors import HelixFlowError
from helixflow.limits.frames import frame

_SUFFIX = ".journal"


class JournalBusy(HelixFlowError):
    """Another process has the journal open."""


class Segments:
    """A folder's segments; one is written, by the one process that holds the lock.

    Attributes:
        size_bytes: of the segment that is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marker = folder / "generation"
        self._lock: int | None = None
        self._file: int | None = None
        self._cut = False
        self.size_bytes = 0

    def lock(self) -> None:
        """Make the folder this process's own. Raises `JournalBusy`, or OSError."""
        if self._lock is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                raise JournalBusy(f"{self._folder} is in use by another process") from None
            raise
        self._lock = lock

    @property
    def generation(self) -> str:
        """What the marker says; empty where there is none."""
        try:
            return self._marker.read_text(encoding="ascii")
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def mark(self, generation: str) -> None:
        """Write the marker, durably: from here on a journal that is gone is missed."""
        draft = self._marker.with_suffix(".draft")
        with draft.open("w", encoding="ascii") as file:
            file.write(generation)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._marker)

    def numbers(self) -> list[int]:
        """The numbers of the segments, in order."""
        names = [path.stem for path in self._folder.glob(f"*{_SUFFIX}")]
        return sorted(int(name) for name in names if name.isdigit())

    def path(self, number: int) -> Path:
        """Where a segment is."""
        return self._folder / f"{number:08d}{_SUFFIX}"

    def begin(self, number: int, payload: bytes) -> None:
        """Write a segment's first frame, and to that segment from here on. Raises OSError."""
        self.path(number).write_bytes(frame(payload))
        self.write_to(number, len(frame(payload)))

    def write_to(self, number: int, size_bytes: int) -> None:
        """Go on writing to a segment, of which the first `size_bytes` are good."""
        file = os.open(self.path(number), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(file, size_bytes)
        if self._file is not None:
            os.close(self._file)
        self._file, self.size_bytes, self._cut = file, size_bytes, False

    def append(self, payload: bytes) -> None:
        """Write one frame, whole or not at all. Raises OSError."""
        if self._file is None:
            raise OSError("the journal is closed")
        data = frame(payload)
        if self._cut:
            os.ftruncate(self._file, self.size_bytes)
        self._cut = True
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        self._cut = False
        self.size_bytes += len(data)

    def remove_before(self, number: int) -> None:
        """Remove the segments below a number."""
        for each in self.numbers():
            if each < number:
                self.path(each).unlink(missing_ok=True)

    def total_bytes(self) -> int:
        """How large all segments are, together."""
        return sum(self.path(number).stat().st_size for number in self.numbers())

    def close(self) -> None:
        """Let another process have them."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None
