"""How far each source is, in a file: for a sink whose own place keeps no numbers.

Failure behavior: the file is put in place in one step, without an fsync: what a machine's loss
takes back is given to the sink again. A damaged file counts as none. The marks of sources that
wrote nothing for longest go, when there are more than `sources_max`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class MarksFile:
    """For one sink. Raises OSError where the folder cannot be made."""

    def __init__(self, path: Path, sources_max: int = 1000) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._sources_max = sources_max
        self._marks = _read(path)

    def high_water(self, source: str) -> int:
        """The number that was kept last for a source; 0 before the first one."""
        return self._marks.get(source, 0)

    def keep(self, source: str, last: int) -> None:
        """Keep a source's number. Raises OSError; then the one before it stands."""
        marks = {name: mark for name, mark in self._marks.items() if name != source}
        marks[source] = last
        while len(marks) > self._sources_max:
            del marks[next(iter(marks))]
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(msgspec.json.encode(marks))
        unfinished.replace(self._path)
        self._marks = marks


def _read(path: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
