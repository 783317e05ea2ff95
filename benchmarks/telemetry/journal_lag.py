"""How old the oldest event is that not every sink has, while the platform is under full load.

The platform says it itself, of the process where it is oldest (`helixflow_journal_lag_seconds` on
`/metrics`); it is asked four times a second, as often as processes ship.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.identity.session import Session
from benchmarks.load import crew
from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Closed, Expected, Plan
from benchmarks.scenarios.bodies import CHAT, chat_body
from benchmarks.scenarios.ports import Probed
from benchmarks.stats.spread import quantile
from benchmarks.systems.helixflow_stack import ADMIN_KEY
from benchmarks.systems.ports import Running
from benchmarks.systems.ready_answers import PROMPT
from helixflow.signals import Metric
from helixflow.telemetry.scrape import Scrape

_EVERY_S = 0.25
_TOKENS = 16
_WARM_S = 2.0


@dataclass(frozen=True, slots=True)
class JournalLag:
    """Implements `Probe`: a closed loop of `connections`, for `seconds`."""

    name: str
    title: str
    connections: int
    seconds: float

    def prepare(self, running: Running) -> None:
        """Requests of the same kind, before anything is counted."""
        crew.drive(self._plan(running, _WARM_S))

    def measure(self, running: Running) -> Probed:
        """The lag's quantiles in seconds, and the load beside it."""
        return asyncio.run(self._measure(running))

    def _plan(self, running: Running, seconds: float) -> Plan:
        body = chat_body("echo-1", PROMPT, _TOKENS, stream=False)
        pace = Closed(self.connections, duration_s=seconds)
        return Plan(running.target(CHAT), [body], Expected(_TOKENS), pace)

    async def _measure(self, running: Running) -> Probed:
        driving = asyncio.create_task(
            asyncio.to_thread(crew.drive, self._plan(running, self.seconds))
        )
        session = await Session.connect(running.host, running.port, running.private[ADMIN_KEY])
        lags_s: list[float] = []
        try:
            while not driving.done():
                _, page = await session.ask("GET", "/metrics")
                lags_s.append(lag_of(page.decode()))
                await asyncio.sleep(_EVERY_S)
        finally:
            await session.close()
        driven = await driving
        told = figures(lags_s, driven, self.seconds)
        return Probed(told, Outcome(latency_ms=lags_s, errors=driven.errors))


def figures(lags_s: Sequence[float], outcome: Outcome, seconds: float) -> dict[str, float]:
    """What is reported."""
    return {
        "lag_p50_s": quantile(lags_s, 0.5),
        "lag_p99_s": quantile(lags_s, 0.99),
        "lag_max_s": max(lags_s),
        "requests_per_s": outcome.answered / seconds,
        "errors": float(outcome.failed),
        "answered": float(outcome.answered),
    }


def lag_of(page: str) -> float:
    """The lag that a page of metrics says, seconds; 0 where it says none."""
    lags = Scrape.of(page, 0.0).series(Metric.JOURNAL_LAG_SECONDS)
    return max(lags.values(), default=0.0)
