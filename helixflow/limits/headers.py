"""What a caller is told about its limits, in OpenAI's response headers."""

from __future__ import annotations

import math
from collections.abc import Iterable
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


def rate_headers(held: Iterable[Held], now: float) -> Headers:
    """The headers about requests and tokens, each from the counter of which the least is left."""
    tightest: dict[Measure, tuple[int, Holding]] = {}
    for each in held:
        if isinstance(each, Holding) and each.measure in _NAMES:
            left = each.left(now)
            found = tightest.get(each.measure)
            if found is None or left < found[0]:
                tightest[each.measure] = (left, each)
    headers: list[tuple[bytes, bytes]] = []
    for measure, (left, holding) in tightest.items():
        limit, remaining, reset = _NAMES[measure]
        headers += (
            (limit, holding.limit_text),
            (remaining, b"%d" % left),
            (reset, duration(holding.reset_at - now)),
        )
    return tuple(headers)


def breach_headers(breach: Breach) -> Headers:
    """The headers about a limit that was hit; there are none for spend and requests at a time."""
    names = _NAMES_BY_UNIT.get(breach.name.partition("_per_")[0])
    if names is None:
        return ()
    left = max(0, math.floor(breach.limit - breach.current))
    told = (b"%d" % breach.limit, b"%d" % left, duration(min(breach.reset_s, _RESET_S_MAX)))
    return tuple(zip(names, told, strict=True))
