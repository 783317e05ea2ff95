"""The limits as an Ingress keeps them: admits from leases, asks the store for more, settles.

Far from a limit a reservation is arithmetic on leases that are held here, without any await. Where
something is lacking, the request waits for the next exchange with the store; there is one at a time,
for all that wait, and every wait has a deadline.

Failure behavior: after the first exchange that fails the store counts as away. From then on nothing
waits for it: rates (requests, tokens) go on from leases and standbys, slots go on up to the level
that is counted for this process, and what cannot be taken from these, spend above all, is refused
with `Unavailable` (`limits_unavailable`) and `Retry-After`. The store is tried again in the
background, with a growing pause. Going away and coming back are logged once each. A request that is
refused, or whose caller hangs up while it waits, has taken nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Sequence

from helixflow.clock import Clock
from helixflow.errors import QuotaExceeded, Refused
from helixflow.ids import RequestId
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import ParsedBody
from helixflow.limits.counters import lines_for
from helixflow.limits.exchange import Exchange, Held
from helixflow.limits.headers import Headers
from helixflow.limits.ports import Answer, CounterId, Lender, LimitStoreAway, LimitView
from helixflow.limits.purse import Purse
from helixflow.limits.refusals import quota_exceeded, store_away, too_many_waiting
from helixflow.limits.till import Request, Reserved, Till
from helixflow.limits.views import view_of
from helixflow.limits.waiting import Wait, Waiting
from helixflow.settings import LimitsSettings
from helixflow.signals import Metric, Signals

_log = logging.getLogger(__name__)

_SOON_S = 0.02
"""How long a free slot near its limit is kept for a next request, before it goes back."""

_PROBES_S = (0.1, 0.2, 0.5)
_CLOSE_EXCHANGES_MAX = 16

_BY_EXCHANGE, _BY_LEASE, _WHILE_AWAY = (
    (("outcome", outcome),) for outcome in ("exchange", "lease", "away")
)


class Ledger:
    """`Limiter` of one Ingress process. `run` keeps it; `close` gives everything back.

    Args:
        store: where the counters are.
        holder: this process's random id, of one start.
        settings: times and bounds.
        clock, signals: the process's own.
        wait_s: how long a request may wait for its limits.
    """

    def __init__(
        self,
        store: Lender,
        holder: str,
        settings: LimitsSettings,
        clock: Clock,
        signals: Signals,
        *,
        wait_s: float = 1.0,
    ) -> None:
        self.holder = holder
        self._store = store
        self._settings = settings
        self._clock = clock
        self._signals = signals
        self._wait_s = wait_s
        self._purse = Purse(settings)
        self._till = Till(self._purse, clock, settings.held_max, self._nudge)
        self._waiting = Waiting()
        self._looks: dict[Held, None] = {}
        self._lookers: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._away_since: float | None = None
        self._probe_at = 0.0
        self._probes = 0
        self._closed = False

    # Admitting.

    def try_reserve(
        self, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> Reserved | None:
        """`reserve` where it needs no waiting; None where it does. Raises what `reserve` raises."""
        return self._let(self._decide(self._till.measure(principal, spec, body)))

    async def reserve(
        self, request_id: RequestId, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> Reserved:
        """See `Limiter.reserve`."""
        request = self._till.measure(principal, spec, body)
        reserved = self._let(self._decide(request))
        if reserved is not None:
            return reserved
        reserved = await self._wait(request)
        self._signals.count(Metric.LIMIT_RESERVATIONS, _BY_EXCHANGE)
        return reserved

    def headers(self, principal: Principal, model: str) -> Headers:
        """See `Limiter.headers`."""
        try:
            return self._till.headers(self._till.plan(principal, model))
        except Refused:
            return ()

    async def view(self, principal: Principal, models: Sequence[str] = ()) -> list[LimitView]:
        """See `Limiter.view`."""
        now = self._clock.monotonic()
        counters: dict[CounterId, Held | None] = {}
        limits: dict[CounterId, int] = {}
        for model in ("", *models):
            for line in lines_for(principal, model):
                counters[line.counter] = self._purse.held(line.counter, line.limit, now)
                limits[line.counter] = line.limit
        stale = [
            held
            for held in counters.values()
            if held is not None and held.known_at + self._settings.heartbeat_s <= now
        ]
        if stale and self._away_since is None:
            await self._look(stale)
        now = self._clock.monotonic()
        return [view_of(id_, limits[id_], held, now) for id_, held in counters.items()]

    def _decide(self, request: Request) -> Reserved | None:
        """The reservation, or None where the store must be asked. Raises `Refused`."""
        reserved = self._till.take(request)
        if reserved is not None:
            return reserved
        if self._closed:
            raise store_away(self._settings.heartbeat_s)
        now = self._clock.monotonic()
        self._refuse_what_is_known(request, now)
        if self._away_since is None:
            return None
        self._nudge()
        self._purse.stand_in(request.demands, now)
        reserved = self._till.take(request)
        if reserved is None:
            raise store_away(max(self._probe_at - now, self._settings.heartbeat_s))
        return reserved

    def _refuse_what_is_known(self, request: Request, now: float) -> None:
        refused = quota_exceeded(request.demands, now)
        if refused is not None:
            self._count_refusal(refused)
            raise refused

    async def _wait(self, request: Request) -> Reserved:
        if len(self._waiting) >= self._settings.waiters_max:
            raise too_many_waiting()
        wait = Wait(request)
        self._waiting.add(wait)
        self._start()
        try:
            async with asyncio.timeout(self._wait_s):
                return await wait.answer
        except TimeoutError:
            if wait.answered:  # in time, and only this process was late to look
                return wait.answer.result()
            wait.forsake()
            raise store_away(self._settings.heartbeat_s) from None
        except asyncio.CancelledError:
            wait.forsake()
            raise
        finally:
            self._waiting.remove(wait)

    # Exchanging: one at a time, by one task, which ends when there is nothing to say.

    async def run(self) -> None:
        """Keep in touch with the store, forever; ends by cancellation."""
        try:
            while True:
                await asyncio.sleep(self._settings.heartbeat_s)
                self.beat()
        finally:
            await self._stop()

    def beat(self) -> None:
        """A heartbeat: look after what is held, and begin an exchange."""
        self._purse.tick(self._clock.monotonic())
        self._due = True
        self._start()

    async def close(self) -> None:
        """Admit nothing more, and give back what no request uses, as far as the store hears it."""
        self._closed = True
        await self._stop()
        self._waiting.serve(self._decide)
        self._purse.give_all_back()
        for _ in range(_CLOSE_EXCHANGES_MAX):
            if not self._purse.has_news or not await self._exchange():
                break

    async def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _nudge(self) -> None:
        """Something is to be said before the next heartbeat."""
        if self._purse.urgent or self._away_since is not None:
            self._start()
        elif self._purse.soon and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON_S, self._moment_passed)

    def _moment_passed(self) -> None:
        self._timer = None
        self._due = True
        self._start()

    def _start(self) -> None:
        """Begin exchanging, unless it goes on already, or it is too early to try again."""
        if self._task is not None or self._closed:
            return
        if self._away_since is not None and self._clock.monotonic() < self._probe_at:
            return
        # Not in the context of the request that happens to begin it: Serve cancels with a request
        # whatever was called in its context.
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._drive(), context=contextvars.Context())

    async def _drive(self) -> None:
        try:
            while await self._exchange():
                if not (self._waiting or self._lookers or self._due or self._purse.urgent):
                    return
        finally:
            self._task = None

    async def _exchange(self) -> bool:
        """One exchange, or a sign of life where the store is away; whether it was answered."""
        probing = self._away_since is not None
        self._due = probing  # after a sign of life there is much to say
        now = self._clock.monotonic()
        looks, self._looks = self._looks, {}
        lookers, self._lookers = self._lookers, []
        if probing:
            exchange = self._purse.probe(now)
        else:
            exchange = self._purse.compose(self._waiting.wishes(self._till.current), now, looks)
        try:
            answered = await self._send(exchange)
        finally:
            for looker in lookers:
                if not looker.done():
                    looker.set_result(None)
        self._waiting.serve(self._decide)
        if answered:
            self._purse.tidy(exchange)
        return answered

    async def _send(self, exchange: Exchange) -> bool:
        """Exchange with the store, and take over what it says; False where there is no answer."""
        answer: Answer | None = None
        trouble: BaseException | None = None
        try:
            async with asyncio.timeout(self._wait_s):
                groups = exchange.groups
                answer = await self._store.exchange(
                    self.holder, exchange.number, exchange.acked, groups
                )
                if [len(grants) for grants in answer.grants] != [len(group) for group in groups]:
                    raise LimitStoreAway("its answer does not fit")
        except Exception as error:
            trouble = error
        finally:
            if answer is None or trouble is not None:
                self._purse.lose(exchange, self._clock.monotonic())
        if answer is None or trouble is not None:
            self._went_away(trouble)
            return False
        self._purse.apply(exchange, answer, self._clock.monotonic())
        self._came_back()
        return True

    async def _look(self, held: Sequence[Held]) -> None:
        """Ask for news of counters."""
        self._looks.update(dict.fromkeys(held))
        looker = asyncio.get_running_loop().create_future()
        self._lookers.append(looker)
        self._start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                await looker

    # Away and back.

    def _went_away(self, trouble: BaseException | None) -> None:
        self._signals.count(Metric.LIMIT_EXCHANGES, (("outcome", "lost"),))
        now = self._clock.monotonic()
        if self._away_since is None:
            self._away_since, self._probes = now, 0
            expected = isinstance(trouble, (LimitStoreAway, TimeoutError))
            what = str(trouble) or type(trouble).__name__
            _log.warning(
                "the store of the limits is away: %s", what, exc_info=None if expected else trouble
            )
        self._signals.gauge(Metric.LIMIT_STORE_AWAY_SECONDS, now - self._away_since)
        steps = _PROBES_S[self._probes : self._probes + 1]
        self._probe_at = now + (steps[0] if steps else self._settings.heartbeat_s)
        self._probes += 1

    def _came_back(self) -> None:
        self._signals.count(Metric.LIMIT_EXCHANGES, (("outcome", "answered"),))
        if self._away_since is not None:
            away_s = self._clock.monotonic() - self._away_since
            self._away_since = None
            self._signals.gauge(Metric.LIMIT_STORE_AWAY_SECONDS, 0.0)
            _log.info("the store of the limits is back after %.1f s", away_s)

    def _let(self, reserved: Reserved | None) -> Reserved | None:
        """Count one that needed no waiting."""
        if reserved is not None:
            how = _BY_LEASE if self._away_since is None else _WHILE_AWAY
            self._signals.count(Metric.LIMIT_RESERVATIONS, how)
        return reserved

    def _count_refusal(self, refused: QuotaExceeded) -> None:
        if refused.breach is not None:
            labels = (("limit", refused.breach.name),)
            self._signals.count(Metric.LIMIT_REFUSALS, labels)
