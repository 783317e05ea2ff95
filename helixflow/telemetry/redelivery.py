"""Dead letters that somebody wants to be tried once more: each is written once, whatever dies.

A letter that is wanted gets the next number of a source of this sink's own (`replay-<sink>`), which
its name says from then on; then the sink writes it and commits that number with it; then the file
is deleted. Who dies in between leaves a name and a number, and the sink knows whether it has it.
What could not be read when it came is laid down once for each sink first.

Failure behavior: a sink that is away leaves the letter waiting, for the next turn or the next
actor. Where the sink refuses the event again, the letter lies as before, with the reason of this
time. A letter whose source may still bring the event itself waits until the sink is past it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from helixflow.clock import Clock
from helixflow.settings import HubSettings
from helixflow.signals import Event
from helixflow.telemetry.dead_letters import (
    LYING,
    QUEUED,
    UNDER_WAY,
    DeadLetters,
    Letter,
    read_letter,
    rename,
)
from helixflow.telemetry.lane import AWAY, Lane

_log = logging.getLogger(__name__)

UNREAD = "hub"
"""The sink of letters that could not be read, and were for every sink."""

_LETTERS_MAX = 100
_FORGOTTEN_S = 86_400.0


class Redelivery:
    """`Duty`. For one event loop.

    Args:
        lanes: one for each sink.
        sleep: how it waits between turns.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        letters: DeadLetters,
        settings: HubSettings,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._lanes = {lane.name: lane for lane in lanes}
        self._letters = letters
        self._settings = settings
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """See `Duty.run`."""
        while True:
            await self.turn()
            await self._sleep(self._settings.dead_letters_s)

    async def turn(self) -> int:
        """Try what is wanted; how many letters were written."""
        paths = await asyncio.to_thread(self._letters.wanted, _LETTERS_MAX)
        return sum([await self._try(path) for path in paths])

    async def _try(self, path: Path) -> bool:
        """Whether a letter was written."""
        try:
            letter = await asyncio.to_thread(read_letter, path)
            event = letter.read_event()
            if letter.sink == UNREAD:
                await self._spread(path, letter, event)
                return False
            return await self._deliver(path, letter, event)
        except ValueError:
            _log.warning("the dead letter %s cannot be read", path.name)
            await asyncio.to_thread(rename, path, LYING)
        except Exception as error:
            _log.warning("the dead letter %s waits: %s", path.name, type(error).__name__)
        return False

    async def _deliver(self, path: Path, letter: Letter, event: Event) -> bool:
        lane = self._lanes.get(letter.sink)
        if lane is None:
            await self._put_back(path, letter, event, "there is no such sink")
            return False
        source = f"replay-{letter.sink}"
        number = _number(path)
        if number is None:
            if not await self._is_past(lane, path, letter):
                return False
            number = await lane.held(source) + 1
            path = await asyncio.to_thread(rename, path, f".{number}{UNDER_WAY}")
        try:
            await lane.redeliver(source, number, event)
        except AWAY:
            raise
        except Exception as error:
            await self._put_back(path, letter, event, f"{type(error).__name__}: {error}")
            return False
        await asyncio.to_thread(path.unlink)
        _log.info("the dead letter %s was written", letter.name)
        return True

    async def _is_past(self, lane: Lane, path: Path, letter: Letter) -> bool:
        """Whether the event cannot come by its own source any more."""
        held = await lane.held(letter.source)
        if held:
            return held >= letter.sequence
        laid_at = (await asyncio.to_thread(path.stat)).st_mtime
        return self._clock.now() - laid_at > _FORGOTTEN_S  # its mark was given up

    async def _spread(self, path: Path, letter: Letter, event: Event) -> None:
        """A letter for each sink, in place of one for all."""
        shown = {"kind": event.kind.value, "at": event.at, "id": event.id, "facts": event.facts}
        laid = [
            Letter(name, letter.source, letter.sequence, letter.reason, shown)
            for name in self._lanes
        ]
        for one in laid:
            await self._letters.put(one)
        await asyncio.to_thread(path.unlink)
        for one in laid:
            await asyncio.to_thread(rename, path.with_name(one.name + LYING), QUEUED)

    async def _put_back(self, path: Path, letter: Letter, event: Event, reason: str) -> None:
        _log.warning("the dead letter %s is refused again", letter.name)
        # Renamed first: at no time there are two of it.
        await asyncio.to_thread(rename, path, LYING)
        await self._letters.write(letter.sink, letter.source, letter.sequence, event, reason)


def _number(path: Path) -> int | None:
    """The number that a letter under way has."""
    return int(path.stem.rpartition(".")[2]) if path.suffix == UNDER_WAY else None
