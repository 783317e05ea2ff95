"""A caller's limits as they are shown to it."""

from __future__ import annotations

from helixflow.limits.exchange import Held
from helixflow.limits.ports import CounterId, LimitView
from helixflow.limits.refusals import in_unit
from helixflow.limits.slots import Slots


def view_of(id_: CounterId, limit: int, held: Held | None, now: float) -> LimitView:
    """One limit, by what is known of it here."""
    allowed = in_unit(id_.name, limit)
    if held is None or held.known_at < 0:
        return LimitView(id_.name, id_.scope, allowed, None, None)
    if isinstance(held, Slots):
        return LimitView(id_.name, id_.scope, allowed, float(held.left()), 0.0)
    remaining = in_unit(id_.name, held.left(now))
    return LimitView(id_.name, id_.scope, allowed, remaining, max(0.0, held.reset_at - now))
