"""Shipping the outbox: what administration changed, from the rows of its own transactions.

The head of the outbox goes into this process's journal; its rows are forgotten once every sink has
committed them, so no loss of a process or a machine loses one. A row may be shipped twice; an event
keeps its id, and a sink that must not hold it twice (the audit chain) tells by it.

Of several processes on a node, one ships at a time: it holds a lock, which goes with it.

Failure behavior: with the database away, the hub away or the journal full, rows stay where they are
and are tried again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Protocol

from helixflow.errors import Refused
from helixflow.signals import Event, EventKind, Fact

_log = logging.getLogger(__name__)

_HEAD = 256
_LOCK = "outbox.lock"
_DETAIL = "detail."


class AdminEvent(Protocol):
    """A change, as identity records it (identity/events.py)."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def organization(self) -> str: ...
    @property
    def project(self) -> str | None: ...
    @property
    def actor(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def detail(self) -> Mapping[str, str]: ...


class OutboxRow(Protocol):
    """An event and its place in the outbox."""

    @property
    def sequence(self) -> int: ...
    @property
    def event(self) -> AdminEvent: ...


class Outbox(Protocol):
    """The events that were not shipped yet. `storage.outbox.SqlOutbox` implements it."""

    async def head(self, limit: int) -> Sequence[OutboxRow]:
        """The oldest rows, at most `limit`. Raises `Unavailable`."""
        ...

    async def forget(self, up_to: int) -> None:
        """Delete everything up to this place. Raises `Unavailable`."""
        ...


class DurableSignals(Protocol):
    """What is needed of a `Recorder`."""

    @property
    def full(self) -> bool:
        """Whether events are not being kept right now."""
        ...

    @property
    def last(self) -> int:
        """The number of the last event in the journal."""
        ...

    @property
    def durable(self) -> int:
        """Every sink has the events up to this number."""
        ...

    def record(self, event: Event) -> None:
        """See `Signals.record`."""
        ...


class OutboxShipping:
    """Ships one outbox. For one event loop.

    Args:
        folder: where the lock of this node lies.
        every_s: how often it looks.
    """

    def __init__(
        self, outbox: Outbox, signals: DurableSignals, folder: Path, every_s: float
    ) -> None:
        self._outbox = outbox
        self._signals = signals
        self._lock = folder / _LOCK
        self._every_s = every_s
        self._stopping = asyncio.Event()
        self._held: int | None = None
        self._under_way: tuple[int, int] | None = None

    async def run(self) -> None:
        """Ship, until `stop`."""
        away = False
        try:
            while not self._stopping.is_set():
                try:
                    await self.step()
                    away = False
                except (Refused, OSError) as error:
                    if not away:
                        _log.warning("administration's events wait in the outbox: %s", error)
                    away = True
                except Exception:
                    _log.exception("shipping the outbox failed; it is tried again")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every_s):
                        await self._stopping.wait()
        finally:
            self._release()

    def stop(self) -> None:
        """Let `run` end after the step that it is at, with nothing half asked of the database."""
        self._stopping.set()

    async def step(self) -> None:
        """Journal the head of the outbox, or forget it once every sink has it.

        Raises `Unavailable` from the outbox, OSError from the lock.
        """
        if not self._claim():
            return
        if self._under_way is not None:
            number, sequence = self._under_way
            if self._signals.durable < number:
                return
            await self._outbox.forget(sequence)
            self._under_way = None
        if self._signals.full:
            return
        rows = await self._outbox.head(_HEAD)
        for row in rows:
            self._signals.record(administration(row.event))
        # What waits for room in the journal is not kept yet: the rows are journaled again.
        if rows and not self._signals.full:
            self._under_way = (self._signals.last, rows[-1].sequence)

    def _claim(self) -> bool:
        """Whether this process is the one that ships."""
        if self._held is not None:
            return True
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._held = file
        return True

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            os.close(held)


def administration(event: AdminEvent) -> Event:
    """An administrative change as an event; its details are facts called `detail.<name>`."""
    facts: dict[str, Fact] = {
        "name": str(event.name),
        "organization": event.organization,
        "project": event.project,
        "actor": event.actor,
        "target": event.target,
    }
    facts.update({_DETAIL + name: value for name, value in event.detail.items()})
    return Event(EventKind.ADMINISTRATION, event.at, event.id, facts)
