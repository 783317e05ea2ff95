"""What administration changed about kept content, done here: erasures, and shorter retention.

Such a change is an event in the transaction of the change, and comes at least once: what was
promised there is done here, however often either side dies in between.

Failure behavior: with a database away the hub gives the events again. An event that comes twice is
done twice, to no effect.
"""

from __future__ import annotations

from collections.abc import Sequence

from helixflow.signals import Event, EventKind, Fact
from helixflow.telemetry.content.vault import Vault
from helixflow.telemetry.marks_file import MarksFile

_ERASE, _UPDATE = "content:erase", "project:update"
_PERIOD, _DAYS = "detail.erased_period", "detail.content_days.after"


class ContentSink:
    """`telemetry.ports.Sink`; it reads `outbox_shipping.administration` alone."""

    name = "content"

    def __init__(self, vault: Vault, marks: MarksFile) -> None:
        self._vault = vault
        self._marks = marks

    async def high_water(self, source: str) -> int:
        """See `Sink.high_water`."""
        return self._marks.high_water(source)

    async def write(self, source: str, last: int, events: Sequence[Event]) -> None:
        """See `Sink.write`."""
        for event in events:
            if event.kind is EventKind.ADMINISTRATION:
                await self._follow(event)
        self._marks.keep(source, last)

    async def _follow(self, event: Event) -> None:
        facts = event.facts
        organization, project = facts.get("organization"), facts.get("project")
        if not isinstance(organization, str) or not isinstance(project, str):
            return
        period, days = _number(facts.get(_PERIOD)), _number(facts.get(_DAYS))
        if facts.get("name") == _ERASE and period is not None:
            await self._vault.erase(organization, project, period)
        elif facts.get("name") == _UPDATE and days:
            await self._vault.shorten(organization, project, days)


def _number(fact: Fact) -> int | None:
    """A whole number, as the outbox writes it."""
    return int(fact) if isinstance(fact, str) and fact.isascii() and fact.isdecimal() else None
