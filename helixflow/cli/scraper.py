"""Reading a platform's `/metrics`.

Failure behavior: `PlatformAway` while nothing answers, or no page can be had right now; trying
again may help. `KeyRefused` where the key may not read it; trying again does not help.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from helixflow.cli.failure import CommandFailed
from helixflow.cli.http import Client, Unreachable, require_ok
from helixflow.telemetry.scrape import Scrape


class PlatformAway(CommandFailed):
    """There are no metrics right now."""


class KeyRefused(CommandFailed):
    """The key may not read metrics."""


class Scraper:
    """Reads the metrics of the platform at a base URL (without `/v1`).

    Args:
        key: one with the permission `metrics:read`.
        timeout_s: for connecting and for each read.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        timeout_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = Client(base_url, key, timeout_s)
        self._monotonic = monotonic

    def scrape(self) -> Scrape:
        """One page. Raises `PlatformAway` and `KeyRefused`."""
        try:
            answer = self._client.request("GET", "/metrics")
        except Unreachable as error:
            raise PlatformAway(f"the platform does not answer: {error}") from error
        try:
            require_ok(answer)
        except CommandFailed as error:
            if answer.status == 401:
                raise KeyRefused(f"the platform does not take this key: {error}") from error
            if answer.status == 403:
                raise KeyRefused(
                    "this key may not read metrics: that takes the permission metrics:read, which"
                    " admin keys, owners, admins and auditors have"
                ) from error
            raise PlatformAway(str(error)) from error
        try:
            return Scrape.of(answer.body.decode("utf-8"), self._monotonic())
        except ValueError as error:
            raise PlatformAway("what answers at /metrics is no page of metrics") from error
