"""OpenAI's headers about limits: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`."""

from __future__ import annotations

import math
from typing import TypeAlias

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

_DAY_S = 86_400.0
_MAX_S = 400 * _DAY_S


def unit_of(name: str) -> str | None:
    """What a limit's headers are about, `requests` or `tokens`; None where they have no word."""
    unit = name.partition("_per_")[0]
    return unit if unit in ("requests", "tokens") else None


def rate_limit_headers(unit: str, limit: float, remaining: float, reset_s: float) -> Headers:
    """The three headers about requests or about tokens."""
    told = (
        ("limit", str(int(limit))),
        ("remaining", str(max(0, math.floor(remaining)))),
        ("reset", duration(reset_s)),
    )
    return tuple((f"x-ratelimit-{what}-{unit}".encode(), text.encode()) for what, text in told)


def duration(seconds: float) -> str:
    """A length of time as OpenAI writes it, rounded up to milliseconds: `12ms`, `1.5s`, `6m0s`."""
    whole_ms = math.ceil(min(max(seconds, 0.0), _MAX_S) * 1000)
    if whole_ms < 1000:
        return f"{whole_ms}ms"
    minutes, ms = divmod(whole_ms, 60_000)
    rest = f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}"
    return f"{minutes}m{rest}" if minutes else rest
