"""How long records are kept: each kind for a time of its own, and what goes goes under a seal.

A record's content is dropped when its kind's time is over: its digest stays, and the chain with it.
The oldest records go altogether once they have no content and the longest time is over. A signed
checkpoint says which contents went, a signed beginning says where the chain begins; both are
recorded in the chain itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.settings import AuditSettings
from helixflow.telemetry.audit.log import CONTENTS_MAX, AuditLog
from helixflow.telemetry.audit.persons import Persons
from helixflow.telemetry.audit.ports import AuditStore, ChainState
from helixflow.telemetry.audit.record import Kind

_DAY_S = 86_400.0
_CHAINS_PAGE = 100
_SLACK_S = 2 * _DAY_S
"""A person's key is noted as used by the day, and records may come late."""


@dataclass(frozen=True, slots=True)
class Horizons:
    """From when on everything is kept, epoch milliseconds.

    Attributes:
        kinds: the contents of each kind.
        records: the records themselves.
    """

    kinds: dict[Kind, int]
    records: int


def horizons(settings: AuditSettings, now: float) -> Horizons:
    """What is older than these may go. `now` is epoch seconds."""
    days = {
        Kind.ADMINISTRATION: settings.administration_days,
        Kind.AUTHENTICATION: settings.authentication_days,
        Kind.AUTHORIZATION: settings.authorization_days,
    }
    kinds = {kind: _horizon(kept, now) for kind, kept in days.items()}
    return Horizons(kinds, min(kinds.values()))


class Retention:
    """Carries it out, a bounded part at a time."""

    def __init__(
        self, store: AuditStore, log: AuditLog, persons: Persons, settings: AuditSettings
    ) -> None:
        self._store = store
        self._log = log
        self._persons = persons
        self._settings = settings

    async def run(self, now: float) -> int:
        """Let everything go that has served its time; how many contents it were."""
        kept, count, after = horizons(self._settings, now), 0, ""
        while states := await self._store.chains(after, _CHAINS_PAGE):
            for state in states:
                count += await self._of(state, kept)
            after = states[-1].chain
        while await self._store.thin_seals(_horizon(self._settings.seals_days, now)):
            pass
        longest = kept.records / 1000 - _SLACK_S
        while await self._persons.purge(longest) > 0:
            pass
        return count

    async def _of(self, state: ChainState, kept: Horizons) -> int:
        count = 0
        for kind, before_ms in kept.kinds.items():
            dropped = CONTENTS_MAX
            while dropped == CONTENTS_MAX:
                dropped = await self._log.drop_served(state.chain, kind, before_ms)
                count += dropped
        current: ChainState | None = state
        while current is not None and await self._log.remove_served(current, kept.records):
            current = await self._store.chain(state.chain)
        return count


def _horizon(days: int, now: float) -> int:
    return max(0, int((now - days * _DAY_S) * 1000)) if days else 0
