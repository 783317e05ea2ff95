"""What a caller is told about its limits, in OpenAI's response headers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from helixflow.errors import Breach
from helixflow.limits.counters import Measure
from helixflow.limits.exchange import Held
from helixflow.limits.holding import Holding

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

_NAMES = {
    Measure.REQUESTS: (
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
    ),
    Measure.TOKENS: (
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-tokens",
    ),
}

_NAMES_BY_UNIT = {"requests": _NAMES[Measure.REQUESTS], "tokens": _NAMES[Measure.TOKENS]}
_RESET_S_MAX = 400 * 86_400.0


def duration(seconds: float) -> bytes:
    """A time as OpenAI writes it: `12ms`, `1s`, `6m0s`, `2h0m0s`; rounded up."""
    if seconds < 1.0:
        milliseconds = math.ceil(max(0.0, seconds) * 1000)
        if milliseconds < 1000:
            return b"%dms" % milliseconds
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return b"%ds" % rest
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)


@dataclass(frozen=True, slots=True)
class Rates:
    """What is held of counters that the headers are about: of requests, and of tokens."""

    requests: tuple[Holding, ...]
    tokens: tuple[Holding, ...]

    @staticmethod
    def among(held: Iterable[Held]) -> Rates:
        """Those of some counters."""
        windows = [each for each in held if isinstance(each, Holding)]
        return Rates(
            tuple(each for each in windows if each.measure is Measure.REQUESTS),
            tuple(each for each in windows if each.measure is Measure.TOKENS),
        )

    def headers(self, now: float) -> Headers:
        """The headers about both, each from the counter of which the least is left."""
        told: Headers = ()
        if self.requests:
            told = _told(_NAMES[Measure.REQUESTS], self.requests, now)
        if self.tokens:
            told += _told(_NAMES[Measure.TOKENS], self.tokens, now)
        return told


def _told(names: tuple[bytes, bytes, bytes], held: tuple[Holding, ...], now: float) -> Headers:
    tightest, least = held[0], held[0].left(now)
    for each in held[1:]:
        left = each.left(now)
        if left < least:
            tightest, least = each, left
    limit, remaining, reset = names
    return (
        (limit, tightest.limit_text),
        (remaining, b"%d" % least),
        (reset, duration(tightest.reset_at - now)),
    )


def breach_headers(breach: Breach) -> Headers:
    """The headers about a limit that was hit; there are none for spend and requests at a time."""
    names = _NAMES_BY_UNIT.get(breach.name.partition("_per_")[0])
    if names is None:
        return ()
    left = max(0, math.floor(breach.limit - breach.current))
    told = (b"%d" % breach.limit, b"%d" % left, duration(min(breach.reset_s, _RESET_S_MAX)))
    return tuple(zip(names, told, strict=True))
