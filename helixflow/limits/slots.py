"""The Ingress's side of a counter of requests at a time: how many run here, and how many may.

The level is what the store counts for this process, or less. It is lowered here first and then said,
so that the store never counts less than what runs (ports.py). Near the limit nothing is kept that
does not run; far from it, what ran lately is kept.

Pure: every method is given `now`, on this process's monotonic clock.
"""

from __future__ import annotations

from helixflow.limits.counters import Measure
from helixflow.limits.holding import REFUSED_S
from helixflow.limits.ports import Ask, CounterId, Grant
from helixflow.limits.sizing import SHARE, is_far


class Slots:
    """What this process holds of one counter of requests at a time.

    Attributes:
        level: how many may run here.
        running: how many do.
        limit: how many may run everywhere, as was last heard.
        remaining: how many the store said are free beside all levels.
        far: whether the limit was far when it was last heard of.
        known_at: when it said so; below 0 before.
        refused_until: until then it is known that there is none.
        retry_at: when there can be one, at the earliest.
        used_at: when one was last taken.
        check_at: the second in which it is looked at next; 0 for none.
        asking: whether an exchange that states it is on its way.
        gone: whether it was forgotten: it gives nothing any more.
    """

    __slots__ = (
        "_counted",
        "_most",
        "asking",
        "check_at",
        "far",
        "gone",
        "id",
        "known_at",
        "level",
        "limit",
        "refused_until",
        "remaining",
        "retry_at",
        "running",
        "used_at",
    )

    measure = Measure.SLOTS

    def __init__(self, id_: CounterId, limit: int) -> None:
        self.id = id_
        self.limit = limit
        self.level = 0
        self.running = 0
        self.remaining = limit
        self.far = False
        self.known_at = -1.0
        self.refused_until = 0.0
        self.retry_at = 0.0
        self.used_at = 0.0
        self.check_at = 0
        self.asking = False
        self.gone = False
        self._most = 0
        self._counted = 0

    @property
    def spare(self) -> int:
        """How many more may run; below 0 where the level fell."""
        return self.level - self.running

    @property
    def surplus(self) -> bool:
        """Whether more lies here than anybody would be given who only might need it."""
        return self.spare > self.remaining // SHARE

    def refuses(self, now: float) -> bool:
        """Whether it is known without asking that there is none."""
        return self.limit < 1 or now < self.refused_until

    def left(self) -> int:
        """How many more could run everywhere, as far as this process knows."""
        return min(self.limit, max(0, self.remaining + self.spare))

    def set_limit(self, limit: int) -> None:
        """The limit is another one."""
        self.remaining = max(0, self.remaining + limit - self.limit)
        lowered, self.limit = limit < self.limit, limit
        self.refused_until = 0.0
        if lowered:
            self.level = 0

    def take(self) -> None:
        """One more runs."""
        self.running += 1
        if self.running > self._most:
            self._most = self.running

    def give(self) -> None:
        """One less runs."""
        self.running -= 1
        self.refused_until = 0.0

    def let_go(self) -> None:
        """Nothing is wanted beside what runs."""
        self.level = min(self.level, self.running)
        self.far = False

    def void(self) -> None:
        """Nothing is known to be counted for this process any more."""
        self.level = 0

    @property
    def overstated(self) -> bool:
        """Whether the store may count more for this process than it can use."""
        return self._counted > max(self.level, self.running)

    def ask(self, more: int) -> Ask:
        """State the level, and ask for `more` than run; at least one of them is needed.

        What is not wanted is lowered here first.
        """
        spare = 1 if self.far or self.known_at < 0 else 0
        running, waiting = self.running, self.running + more
        want = max(self._want(), waiting + spare)
        return self._stated(
            Ask(self.id, self.limit, 0, running + 1, want, used=running, waiting=waiting)
        )

    def state(self) -> Ask:
        """State the level, and what would be good to have."""
        want = max(self.level, self.running) if self.overstated else self._want()
        return self._stated(Ask(self.id, self.limit, want=want, used=self.running))

    def look(self) -> Ask:
        """State the level as it is."""
        want = max(self.level, self.running)
        return self._stated(Ask(self.id, self.limit, want=want, used=self.running))

    def hear(self, ask: Ask, grant: Grant, *, refused: bool, now: float) -> None:
        """What the store said to an ask; `refused` where the whole group was."""
        self.asking = False
        self.remaining = grant.remaining
        self.known_at = now
        self.far = is_far(grant.remaining, self.limit)
        if grant.retry_after_s > 0.0:
            self.retry_at = now + grant.retry_after_s
            self.refused_until = now + min(grant.retry_after_s, REFUSED_S)
        if not refused:
            self.level = grant.amount
            if self.spare > 0:
                self.refused_until = 0.0
        self._counted = max(grant.amount, ask.used, min(self._counted, ask.want))

    def lost(self, ask: Ask) -> None:
        """Nobody knows what came of an ask."""
        self.asking = False
        self._counted = max(self._counted, ask.want, ask.used)

    def settle_down(self) -> None:
        """A while has passed: what ran most before does not matter any more."""
        self._most = self.running

    @property
    def idle(self) -> bool:
        """Whether forgetting it changes nothing."""
        return not (self.level or self.running or self._counted or self.asking)

    def _stated(self, ask: Ask) -> Ask:
        self.level = min(self.level, ask.want)
        self.asking = True
        return ask

    def _want(self) -> int:
        if not self.far:
            return self.running
        return min(self.limit, max(self.running, self._most) + 1 + self.running // 2)
