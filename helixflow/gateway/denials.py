"""Who was turned away, told to the audit log: every first time, and repetitions as a count.

Failure behavior: a caller that is denied over and over makes one event per `_EVERY_S` and target,
with the number of denials since the one before. At most `_HELD_MAX` callers and targets are told
apart at a time; the oldest is forgotten for a further one.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from helixflow.clock import Clock
from helixflow.errors import Forbidden, Unauthenticated
from helixflow.inference.principal import Principal
from helixflow.signals import Event, EventKind, Signals

_EVERY_S = 10.0
_HELD_MAX = 4096


class Failures(Protocol):
    """Where failed authentications are collected (telemetry/authentication_failures.py)."""

    def note(self, source: str, reason: str) -> None:
        """Somebody at an address failed to authenticate, for a reason."""
        ...


@dataclass(slots=True)
class _Told:
    at: float
    since: int = 0


class Denials:
    """For one Ingress process.

    Args:
        failures: collects failed authentications; None where nobody does.
    """

    def __init__(self, signals: Signals, clock: Clock, failures: Failures | None = None) -> None:
        self._signals = signals
        self._clock = clock
        self._failures = failures
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()

    def unauthenticated(self, source: str, refused: Unauthenticated) -> None:
        """A credential was missing or not valid."""
        if self._failures is not None:
            self._failures.note(source, refused.reason.value)

    def forbidden(
        self, principal: Principal, permission: str, target: str, source: str, refused: Forbidden
    ) -> None:
        """A caller may not do something."""
        now, key = self._clock.monotonic(), (principal.key, permission, target)
        told = self._told.get(key)
        if told is not None and now - told.at < _EVERY_S:
            told.since += 1
            return
        count = 1 if told is None else 1 + told.since
        self._told.pop(key, None)
        while len(self._told) >= _HELD_MAX:
            self._told.popitem(last=False)
        self._told[key] = _Told(now)
        facts = {
            "organization": principal.organization,
            "project": principal.project,
            "key": principal.key,
            "subject": principal.subject,
            "permission": permission,
            "target": target,
            "reason": refused.reason.value,
            "source": source,
            "count": count,
        }
        event = "den_" + secrets.token_hex(16)
        kind = EventKind.AUTHORIZATION_DENIED
        self._signals.record(Event(kind, self._clock.now(), event, facts))
