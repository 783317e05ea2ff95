"""What an Ingress tells of its requests so that their traces can be built (telemetry/traces/).

No span is made here: stage times are floats, and what is added to the end of a request are a few
plain facts, where traces are on. Requests that were never admitted have no event otherwise; they
are told up to a rate, because whoever has no key can make as many of them as they like.
"""

from __future__ import annotations

from helixflow.clock import Clock
from helixflow.inference.facts import Admitted, Facts
from helixflow.inference.request import Call
from helixflow.inference.trace_facts import Personal, Traced
from helixflow.settings import TracesSettings


class Tracing:
    """For one Ingress process."""

    def __init__(self, settings: TracesSettings, clock: Clock) -> None:
        self.enabled = settings.enabled
        self._personal = settings.include_personal
        self._rate = settings.refusals_per_s
        # A burst of what a second allows, and never less than one.
        self._most = max(1.0, self._rate)
        self._left = self._most
        self._clock = clock
        self._at = clock.monotonic()

    def facts(
        self, call: Call, admitted: Admitted | None, model: str, *, stream: bool, started: float
    ) -> Facts:
        """The facts for a request's end; none where traces are off."""
        if not self.enabled:
            return {}
        deadline = call.deadline
        # A face counts the deadline from the request's first byte.
        receive_s = max(0.0, started - (deadline.at - deadline.limit_s))
        personal = self._who(call, admitted) if self._personal else None
        return Traced(
            model, call.operation.value, call.door, stream, receive_s, call.trace, personal
        ).facts()

    def may_tell(self) -> bool:
        """Whether one more request that was never admitted may be told."""
        if not self.enabled:
            return False
        now = self._clock.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    @staticmethod
    def _who(call: Call, admitted: Admitted | None) -> Personal:
        if admitted is None:
            return Personal(address=call.source)
        return Personal(
            admitted.organization, admitted.project, admitted.key, admitted.subject, call.source
        )
