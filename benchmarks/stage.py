"""The system that runs right now. A start takes half a minute: neighbours of one kind share it.

Failure behavior: a system that failed is ended at once and never shared.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.results import Visit
from benchmarks.systems.ports import Running, System


@dataclass(frozen=True, slots=True)
class _Held:
    system: System
    running: Running
    record: Visit


class Stage:
    """Holds at most one system; `clear` ends it."""

    def __init__(self) -> None:
        self._held: _Held | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._system: System | None = None

    @property
    def folder(self) -> Path | None:
        """Where the logs of what runs are."""
        return None if self._folder is None else Path(self._folder.name)

    def enter(self, system: System, record: Visit) -> tuple[System, Running]:
        """What runs: `system`, or one of an earlier visit that has become it.

        Writes times into the record. Raises StartFailed; `clear` must be called then.
        """
        held = self._held
        if held is not None and system.base and held.system.base == system.base:
            held.system.become(system)
            record.shared = True
            record.facts = held.running.facts
            self._held = _Held(held.system, held.running, record)
            return held.system, held.running
        self.clear()
        self._folder = tempfile.TemporaryDirectory(prefix="hxb-")
        self._system = system
        running = system.start(Path(self._folder.name))
        record.ready_s, record.first_token_s = running.ready_s, running.first_token_s
        record.facts = running.facts
        self._held = _Held(system, running, record)
        return system, running

    def clear(self) -> None:
        """Stop what runs, and end what it leaves; the last visit's record says how that went."""
        system, held, folder = self._system, self._held, self._folder
        self._system = self._held = self._folder = None
        if system is not None:
            begin = time.monotonic()
            system.stop()
            stop_s, left = time.monotonic() - begin, system.family.end()
            if held is not None:
                held.record.stop_s, held.record.left = stop_s, left
        if folder is not None:
            folder.cleanup()
