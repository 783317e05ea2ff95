"""When a process ships: batch after batch, and now and then the journals of processes that died.

Failure behavior: while the hub is away, or no sink has room, it is asked again after a pause that
doubles up to `pause_s_max`; events stay in the journal meanwhile. Journals whose process is gone
are adopted by lock, shipped to the end and deleted; while the hub is away they wait. Nothing that
goes wrong here reaches a request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from helixflow.clock import Clock
from helixflow.errors import Unavailable
from helixflow.settings import TelemetrySettings
from helixflow.signals import Metric
from helixflow.telemetry.journal_lock import JournalLock
from helixflow.telemetry.ports import HubPort
from helixflow.telemetry.records import Codec
from helixflow.telemetry.segments import path_of, survey, without
from helixflow.telemetry.shipment import Shipment
from helixflow.telemetry.tally import Tally

_log = logging.getLogger(__name__)

_PING_S = 60.0
_CLOSING_POLL_S = 0.02
_PATIENCE = 6
_SEEN_MAX = 4096
_CHANGE = 0.2


class Orphan:
    """A journal whose process is gone, held by its lock. Raises OSError where it is unreadable."""

    def __init__(self, lock: JournalLock) -> None:
        self.folder = lock.folder
        self.codec = Codec(lock.folder.name)
        self.extent = survey(lock.folder, self.codec)

    def release(self, up_to: int) -> Sequence[Path]:
        """See `Stock.release`."""
        before, self.extent = self.extent, without(self.extent, up_to)
        kept = set(self.extent.segments)
        return [path_of(self.folder, one.first) for one in before.segments if one not in kept]


class Pause:
    """How long to wait before asking again: longer each time, not in step with others."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def longer(self) -> float:
        """The next pause in seconds."""
        pause = self._next_s
        self._next_s = min(2 * pause, self._longest_s)
        return pause * random.uniform(0.75, 1.0)  # noqa: S311 (no secret)

    def reset(self) -> None:
        """Begin with the shortest again."""
        self._next_s = self._first_s


class Lag:
    """How old the oldest event is that not every sink has."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque()

    def age(self, last: int, durable: int, now: float) -> float:
        """Its age in seconds, to about how often this is asked; 0 where there is none.

        Args:
            last, durable: numbers of events: what was recorded, and what every sink has.
            now: monotonic.
        """
        seen = self._seen
        if len(seen) < _SEEN_MAX and last > (seen[-1][0] if seen else durable):
            seen.append((last, now))
        while seen and seen[0][0] <= durable:
            seen.popleft()
        return now - seen[0][1] if seen else 0.0


class Shipper:
    """Ships a process's own source, and orphans beside it. For one event loop.

    Args:
        tally: what this process counts.
        root: the folder of all journals of this node.
    """

    def __init__(
        self,
        own: Shipment,
        tally: Tally,
        hub: HubPort,
        root: Path,
        settings: TelemetrySettings,
        clock: Clock,
    ) -> None:
        self._own = own
        self._tally = tally
        self._hub = hub
        self._root = root
        self._settings = settings
        self._clock = clock
        self._wake = asyncio.Event()
        self._away = ""
        self._told_s = 0.0

    def wake(self) -> None:
        """A whole batch is there."""
        self._wake.set()

    async def run(self) -> None:
        """Ship, forever; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ship_own())
            group.create_task(self._adopt())

    async def finish(self) -> None:
        """Ship the rest, within `close_s`. To be called last."""
        self._own.closing = True
        try:
            async with asyncio.timeout(self._settings.shipping.close_s):
                await self._own.step()  # the hub is told, even where nothing is left
                while self._own.outstanding:
                    if not await self._own.step():
                        await asyncio.sleep(_CLOSING_POLL_S)
        except Exception as error:
            _log.warning("what is left of telemetry has to wait: %s", type(error).__name__)

    async def _ship_own(self) -> None:
        own, pause, poll, lag = self._own, self._pause(), self._pause(), Lag()
        ping_at = 0.0
        while True:
            now = self._clock.monotonic()
            levels, ping_at = now >= ping_at, now + _PING_S if now >= ping_at else ping_at
            if levels:
                self._tell_disk()
            moved = await self._step(own, levels=levels)
            self._tell(lag.age(own.last, own.durable, self._clock.monotonic()))
            if moved:
                pause.reset()
                poll.reset()
            elif moved is None or own.unsent:
                await asyncio.sleep(pause.longer())
                continue
            if own.unsent >= self._settings.shipping.batch_events:
                continue
            waits_s = poll.longer() if own.outstanding else _PING_S
            await self._rest(min(ping_at, self._clock.monotonic() + waits_s))

    def _tell(self, lag_s: float) -> None:
        """Say how old the journal's oldest event is; a change that is too small is no news."""
        if bool(lag_s) != bool(self._told_s) or abs(lag_s - self._told_s) > _CHANGE * lag_s:
            self._told_s = lag_s
            self._tally.gauge(Metric.JOURNAL_LAG_SECONDS, lag_s)

    def _tell_disk(self) -> None:
        """Say how full the journals' disk is, as `df` does: of what is for ordinary users."""
        try:
            disk = os.statvfs(self._root)
        except OSError:
            return  # no folder: the recorder has said so
        used = disk.f_blocks - disk.f_bfree
        self._tally.gauge(Metric.DISK_USAGE, used / max(1, used + disk.f_bavail))

    async def _rest(self, until: float) -> None:
        """Wait for a batch's time, and as long as there is nothing to send, at most `until`."""
        while True:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.shipping.batch_s):
                    await self._wake.wait()
            if self._own.news or self._clock.monotonic() >= until:
                return

    async def _step(self, shipment: Shipment, *, levels: bool = False) -> bool | None:
        """Whether a step brought it on; None where it failed."""
        try:
            moved = await shipment.step(levels=levels)
        except Unavailable as refused:
            self._note(f"telemetry waits: {refused.message}")
            return None
        except OSError as error:
            self._note(f"the journal cannot be read: {error.strerror or error}")
            return None
        except Exception:  # whatever it is, it must not end the shipping of what comes after
            _log.exception("shipping failed; it is tried again")
            return None
        if self._away:
            _log.info("telemetry goes on")
        self._away = ""
        return moved

    def _note(self, fault: str) -> None:
        """Say it once, not at every try."""
        if fault != self._away:
            _log.warning("%s", fault)
        self._away = fault

    async def _adopt(self) -> None:
        while True:
            try:
                await self._adopt_orphans()
            except OSError as error:
                _log.warning("the journals cannot be looked through: %s", error.strerror or error)
            # Several processes that started together do not look at the same time.
            share = random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
            await asyncio.sleep(self._settings.journal.adopt_s * share)

    async def _adopt_orphans(self) -> None:
        for lock in JournalLock.orphans(self._root, self._clock.now()):
            done = False
            try:
                done = await self._ship_orphan(lock)
            except Unavailable:
                return  # our own shipping says so
            except Exception:
                _log.exception("what %s left behind cannot be shipped", lock.folder.name)
            finally:
                lock.remove() if done else lock.release()

    async def _ship_orphan(self, lock: JournalLock) -> bool:
        """Ship it to its end; False where some sink takes no more for now."""
        source = lock.folder.name
        role = source.rpartition("-")[0]
        orphan = await asyncio.to_thread(Orphan, lock)
        batch_events = self._settings.shipping.batch_events
        shipment = Shipment(source, role, orphan, None, self._hub, batch_events, closing=True)
        pause, patience = self._pause(), _PATIENCE
        while patience:
            if await shipment.step():
                pause.reset()
                patience = _PATIENCE
            if not shipment.outstanding:
                _log.info("shipped what %s left behind", source)
                return True
            if not shipment.unsent:
                patience -= 1
                await asyncio.sleep(pause.longer())
        return False

    def _pause(self) -> Pause:
        settings = self._settings.shipping
        return Pause(settings.batch_s, settings.pause_s_max)
