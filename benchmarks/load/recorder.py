"""Turns exchanges into the columns of an `Outcome`."""

from __future__ import annotations

from benchmarks.load.answers import PlainAnswer, StreamAnswer
from benchmarks.load.http1 import Response
from benchmarks.load.outcome import Outcome


class Exchange:
    """One request and its answer. Times are `time.monotonic` seconds; `due` is when it should
    have left, `sent` when it did."""

    __slots__ = ("answer", "due", "request", "response", "sent")

    def __init__(self, request: bytes, answer: PlainAnswer | StreamAnswer, due: float) -> None:
        self.request = request
        self.answer = answer
        self.response = Response()
        self.due = due
        self.sent = 0.0


class Recorder:
    """Collects what one process measures; `begin` is the start of the load."""

    def __init__(self, begin: float) -> None:
        self._begin = begin
        self.outcome = Outcome()

    def failed(self, kind: str) -> None:
        """Count a wrong answer."""
        errors = self.outcome.errors
        errors[kind] = errors.get(kind, 0) + 1

    def answered(self, exchange: Exchange, now: float) -> str:
        """Count a whole answer; gives the error that it was counted under, or `""`."""
        if exchange.answer.is_refusal(exchange.response):
            self.outcome.refused_ms.append((now - exchange.due) * 1e3)
            return ""
        tokens, error = exchange.answer.verdict(exchange.response.status)
        if error:
            self.failed(error)
            return error
        outcome = self.outcome
        outcome.tokens += tokens
        outcome.prompt_tokens += exchange.answer.prompt_tokens
        outcome.cached_tokens += exchange.answer.cached_tokens
        outcome.done_s.append(now - self._begin)
        outcome.latency_ms.append((now - exchange.due) * 1e3)
        if isinstance(exchange.answer, StreamAnswer) and exchange.answer.deliveries:
            self._stream(exchange.answer, exchange.due, tokens)
        return ""

    def _stream(self, answer: StreamAnswer, due: float, tokens: int) -> None:
        outcome = self.outcome
        outcome.deliveries += answer.deliveries
        outcome.first_ms.append((answer.first_at - due) * 1e3)
        if tokens > 1:
            between = (answer.last_at - answer.first_at) / (tokens - 1)
            outcome.between_ms.append(between * 1e3)
        if answer.gaps_s:
            outcome.stall_ms.append(max(answer.gaps_s) * 1e3)
            for gap in answer.gaps_s:
                outcome.gaps_ms.add(gap * 1e3)
