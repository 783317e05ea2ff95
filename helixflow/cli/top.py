"""`helixflow top`: what a platform is doing, looked at again and again.

Failure behavior: while the platform is away that is shown, and it is tried again; a key that may
not read metrics ends it with the reason. Usage that cannot be read is said beside the metrics.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from helixflow.cli.admin.session import Session, administers
from helixflow.cli.command import print_json
from helixflow.cli.failure import CommandFailed
from helixflow.cli.pace import ModelPace, Pace, pace
from helixflow.cli.scraper import PlatformAway, Scraper
from helixflow.cli.tenant_use import TenantMeter, TenantUse
from helixflow.cli.top_tables import render
from helixflow.telemetry.scrape import Scrape

_USAGE_EVERY_S = 5.0
_FIRST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment.

    Attributes:
        at: epoch seconds.
        base_url: of which platform.
        pace: since the look before; None where there was none.
        away: why there are no metrics; empty where there are.
        tenants: what projects used.
        usage_trouble: why that is not known, or not up to date; empty where it is.
    """

    at: float
    base_url: str
    pace: Pace | None
    away: str
    tenants: tuple[TenantUse, ...]
    usage_trouble: str

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        seen = self.pace
        return {
            "at": self.at,
            "base_url": self.base_url,
            "away": self.away or None,
            "seconds": None if seen is None else seen.seconds,
            "platform": None if seen is None else _model_json(seen.platform),
            "models": [] if seen is None else [_model_json(model) for model in seen.models],
            "refusals_per_s": {} if seen is None else dict(seen.refusals_per_s),
            "tenants": [asdict(one) for one in self.tenants],
            "usage_trouble": self.usage_trouble or None,
        }


class Watcher:
    """Looks at a platform; each look is compared with the one before that saw something."""

    def __init__(
        self,
        base_url: str,
        scraper: Scraper,
        meter: TenantMeter,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._base_url = base_url
        self._scraper = scraper
        self._meter = meter
        self._now = now
        self._before: Scrape | None = None
        self._tenants: tuple[TenantUse, ...] = ()
        self._usage_trouble = ""
        self._usage_at = 0.0

    def look(self, *, usage: bool = True) -> Look:
        """Raises `KeyRefused`. Usage is asked for at most every five seconds."""
        at, away, seen = self._now(), "", None
        try:
            scrape = self._scraper.scrape()
        except PlatformAway as error:
            away = str(error)
        else:
            seen = None if self._before is None else pace(self._before, scrape)
            self._before = scrape
            if usage and at >= self._usage_at:
                self._read_usage(at)
        return Look(at, self._base_url, seen, away, self._tenants, self._usage_trouble)

    def _read_usage(self, at: float) -> None:
        self._usage_at = at + _USAGE_EVERY_S
        try:
            self._tenants, self._usage_trouble = self._meter.read(at), ""
        except CommandFailed as error:
            self._usage_trouble = str(error)


@administers
def top(
    session: Session,
    interval: Annotated[
        float, typer.Option("--interval", "-i", help="Seconds between looks.", min=0.2, max=3600)
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show one interval and leave.")] = False,
) -> None:
    """Watch requests, tokens, latencies, refusals and queues, by model and by project."""
    if not session.key:
        _ = session.api  # which says where a key comes from
    scraper = Scraper(session.base_url, session.key)
    watcher = Watcher(session.base_url, scraper, TenantMeter(session.api))
    if once:
        _show_once(watcher, session, interval)
        return
    try:
        _watch(watcher, session, interval)
    except KeyboardInterrupt:
        return  # the way out


def _show_once(watcher: Watcher, session: Session, interval_s: float) -> None:
    first = watcher.look(usage=False)
    if first.away:
        raise PlatformAway(first.away)
    time.sleep(interval_s)
    look = watcher.look()
    if look.away:
        raise PlatformAway(look.away)
    if session.json:
        print_json(look.as_json())
    else:
        session.console.print(render(look))


def _watch(watcher: Watcher, session: Session, interval_s: float) -> None:
    """Forever; a program gets a line of JSON for each look."""
    if session.json:
        _repeat(watcher, interval_s, lambda look: typer.echo(json.dumps(look.as_json())))
    elif session.console.is_terminal:
        _draw(watcher, session.console, interval_s)
    else:
        _repeat(watcher, interval_s, lambda look: session.console.print(render(look)))


def _draw(watcher: Watcher, console: Console, interval_s: float) -> None:
    last: list[RenderableType] = []
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:

            def show(look: Look) -> None:
                last[:] = [render(look)]
                live.update(last[0], refresh=True)

            _repeat(watcher, interval_s, show)
    finally:
        for table in last:  # what the screen showed last stays in the terminal
            console.print(table)


def _repeat(watcher: Watcher, interval_s: float, show: Callable[[Look], None]) -> None:
    # Rates need two looks: the second one comes soon.
    show(watcher.look())
    time.sleep(min(interval_s, _FIRST_PAUSE_S))
    while True:
        show(watcher.look())
        time.sleep(interval_s)


def _model_json(model: ModelPace) -> dict[str, Any]:
    refused = sum(model.refusals_per_s.values())
    return {**asdict(model), "refused_per_s": refused}
