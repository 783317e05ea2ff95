"""What one exchange tells telemetry: how long its stages took, and the events of its life.

Stage times are plain floats; nothing else is kept per request. The admission is journaled before the
request is forwarded and the end before its last byte goes out, so that neither is lost when the
process is (telemetry/recorder.py): a client that has a whole answer is in the books with its tokens.
Where the last bytes cannot be delivered after all, another end says so; the later one counts.
"""

from __future__ import annotations

import logging

from helixflow.clock import Clock
from helixflow.gateway.ports import Contents, Draft
from helixflow.gateway.tracing import Tracing
from helixflow.inference.facts import OK, Admitted, Ended
from helixflow.inference.price import NanoPrice
from helixflow.inference.principal import Principal
from helixflow.inference.quota import NANO_USD
from helixflow.inference.request import Call
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind, Metric, Signals

_requests = logging.getLogger("helixflow.requests")

_LABELS = {
    stage: (("stage", stage),)
    for stage in (
        "authenticate",
        "parse",
        "resolve",
        "authorize",
        "reserve",
        "first_token",
        "rest",
        "settle",
    )
}


class Story:
    """One exchange's. Times are monotonic seconds unless named epoch.

    Attributes:
        first_token_s: from the exchange's start to its first bytes; None before them.
        draft: what takes the answer's bytes where the caller's project keeps content, else None.
    """

    __slots__ = (
        "_admitted", "_call", "_clock", "_contents", "_last", "_signals", "_stages", "_started",
        "_tracing", "_whole_s", "draft", "first_token_s",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        signals: Signals,
        clock: Clock,
        tracing: Tracing,
        contents: Contents | None = None,
    ) -> None:
        self._call = call
        self._contents = contents
        self.draft: Draft | None = None
        self._tracing = tracing
        self._signals = signals
        self._clock = clock
        self._started = self._last = clock.monotonic()
        self._stages: dict[str, float] = {}
        self._admitted: Admitted | None = None
        self._whole_s: float | None = None
        self.first_token_s: float | None = None

    @property
    def started(self) -> float:
        """When the exchange began."""
        return self._started

    def mark(self, stage: str) -> None:
        """A stage is over; it took the time since the one before it."""
        now = self._clock.monotonic()
        self._stages[stage] = now - self._last
        self._last = now

    def admit(self, admitted: Admitted, principal: Principal) -> None:
        """The request is let through."""
        self._admitted = admitted
        if principal.keeping is not None and self._contents is not None:
            self.draft = self._contents.begin(principal, self._call, admitted.model)
        self._record(EventKind.REQUEST_ADMITTED, admitted.facts())

    def begin_answer(self) -> None:
        """The first bytes of the answer are there."""
        self.mark("first_token")
        self.first_token_s = self._last - self._started

    def complete(self, model: str, usage: Usage, finish_reason: str, *, stream: bool) -> None:
        """The whole answer is there; to be called before its last byte goes out."""
        now = self._clock.monotonic()
        stages = {**self._stages, "rest": now - self._last}
        seconds = now - self._started
        self._journal(OK, model, usage, finish_reason, stages, seconds, stream=stream)
        self._whole_s = seconds

    def end(
        self,
        outcome: str,
        model: str,
        usage: Usage | None,
        finish_reason: str,
        *,
        refused: bool,
        stream: bool,
    ) -> None:
        """The exchange is over, for the reason `outcome` (`ok`, `canceled`, a refusal's word).

        `model` is empty where none was found.
        """
        signals, admitted = self._signals, self._admitted
        if self.draft is not None:
            self.draft.end(outcome)
        self.mark("settle")
        seconds = self._last - self._started
        region = admitted.region if admitted is not None else ""
        labels = (("model", model), ("outcome", outcome))
        signals.count(Metric.REQUESTS, (*labels, ("region", region)))
        if refused:
            signals.count(Metric.REFUSALS, (("reason", outcome),))
        signals.observe(Metric.REQUEST_SECONDS, seconds, labels)
        for stage, took in self._stages.items():
            signals.observe(Metric.STAGE_SECONDS, took, _LABELS[stage])
        if _requests.isEnabledFor(logging.INFO):
            said = {"model": model, "outcome": outcome, "seconds": seconds, "door": self._call.door}
            _requests.info("request ended", extra=said)
        if admitted is None and not (refused and self._tracing.may_tell()):
            return
        if admitted is not None and usage is not None:
            self._charge(admitted.price, usage, model, region)
        if self._whole_s is None or outcome != OK:
            self._journal(
                outcome, model, usage, finish_reason, self._stages, seconds, stream=stream
            )

    def _charge(self, price: NanoPrice, usage: Usage, model: str, region: str) -> None:
        cost = price.cost(usage).total
        if cost:
            self._signals.count(
                Metric.COST_USD, (("model", model), ("region", region)), cost / NANO_USD
            )

    def _journal(
        self,
        outcome: str,
        model: str,
        usage: Usage | None,
        finish_reason: str,
        stages: dict[str, float],
        seconds: float,
        *,
        stream: bool,
    ) -> None:
        admitted = self._admitted
        ended = Ended(
            outcome, usage, seconds, self.first_token_s, finish_reason, stages, self._whole_s
        )
        facts = ended.facts()
        facts |= self._tracing.facts(
            self._call, admitted, model, stream=stream, started=self._started
        )
        kind = EventKind.REQUEST_REFUSED if admitted is None else EventKind.REQUEST_ENDED
        self._record(kind, facts)

    def _record(self, kind: EventKind, facts: dict[str, str | int | float | bool | None]) -> None:
        self._signals.record(Event(kind, self._clock.now(), self._call.request_id, facts))
