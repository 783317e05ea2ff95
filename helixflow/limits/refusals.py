"""The refusals of the limits, in words for the person who is refused."""

from __future__ import annotations

from collections.abc import Sequence

from helixflow.errors import Breach, Overloaded, QuotaExceeded, Refusal, Unavailable
from helixflow.inference.quota import NANO_USD
from helixflow.limits.counters import Measure, measure_of
from helixflow.limits.exchange import Demand, Held
from helixflow.limits.slots import Slots


def quota_exceeded(demands: Sequence[Demand], now: float) -> QuotaExceeded | None:
    """The refusal by the counter that is known to refuse for the longest; None where none does."""
    worst: tuple[float, Held, int] | None = None
    for held, amount in demands:
        wait_s = _wait_s(held, amount, now)
        if wait_s is not None and (worst is None or wait_s > worst[0]):
            worst = (wait_s, held, amount)
    return None if worst is None else _refusal(*worst, now)


def store_away(retry_after_s: float) -> Unavailable:
    """Nobody can tell what is left."""
    return Unavailable(
        Refusal.LIMITS_UNAVAILABLE,
        "Your limits cannot be checked at the moment.",
        retry_after_s=retry_after_s,
    )


def too_many_waiting() -> Overloaded:
    """A bounded queue, or a bounded map, is full."""
    return Overloaded(
        Refusal.OVERLOADED, "Too many requests wait for their limits.", retry_after_s=1.0
    )


def in_unit(name: str, amount: int) -> float:
    """An amount of a limit as callers see it: spend in US dollars, all else as it is."""
    return amount / NANO_USD if measure_of(name) is Measure.SPEND else float(amount)


def _wait_s(held: Held, amount: int, now: float) -> float | None:
    """Seconds until the counter may not refuse any more; None where it does not, or is not known to."""
    if isinstance(held, Slots):
        refuses = held.spare < 1 and held.refuses(now)
    else:
        refuses = held.lacks(amount, now) and held.refuses(amount, now)
    if not refuses:
        return None
    if amount > held.limit:
        return float("inf")
    return max(0.0, held.retry_at - now)


def _refusal(wait_s: float, held: Held, amount: int, now: float) -> QuotaExceeded:
    if isinstance(held, Slots):
        left, reset_s = held.left(), 0.0
    else:
        left, reset_s = held.left(now), max(0.0, held.reset_at - now)
    used = held.limit - left
    name, scope = held.id.name, held.id.scope
    breach = Breach(name, scope, in_unit(name, held.limit), in_unit(name, used), reset_s)
    never = wait_s == float("inf")
    if never:
        told = f"this request may take {_said(held, amount)}."
    else:
        told = f"{_said(held, used)} used. Please try again in {wait_s:.3g} s."
    message = f"Rate limit reached for {name} of {scope}: {_said(held, held.limit)} allowed, {told}"
    return QuotaExceeded(
        Refusal.RATE_LIMIT_EXCEEDED,
        message,
        retry_after_s=None if never else wait_s,
        breach=breach,
    )


def _said(held: Held, amount: int) -> str:
    if held.measure is Measure.SPEND:
        return f"{amount / NANO_USD:.6g} USD"
    return str(amount)
