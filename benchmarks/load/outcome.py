"""What a load gave: every sample, and how well the generator itself kept up."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from benchmarks.stats.histogram import Histogram

_COLUMNS = (
    "done_s", "latency_ms", "first_ms", "between_ms", "stall_ms", "late_ms", "refused_ms",
)  # fmt: skip


class Outcome(Struct):
    """The samples of one load, in columns; one entry per answered request.

    Attributes:
        done_s: when it was answered, seconds from the start of the load.
        latency_ms: from when it should have left until its last byte.
        first_ms: from when it should have left until its first text (streams).
        between_ms: mean time per token after the first (streams of two tokens and more).
        stall_ms: its longest time without a delivery (streams of two deliveries and more).
        gaps_ms: times between deliveries, over all streams, as a histogram.
        deliveries: pieces of text that came apart in time, over all streams.
        refused_ms: from when it should have left until its whole refusal, where the plan expects
            refusals; they are in no other column.
        tokens: tokens generated, as counted by the system and checked against the plan.
        prompt_tokens: tokens of the prompts of right answers, `cached_tokens` those of them that came
            from a prefix cache, both as counted by the system.
        errors: wrong answers by kind. They are in no other column.
        reconnects: connections that were closed between two requests.
        late_ms: how late requests left although a connection was free (open loop).
        lag_ms: how late the generator's own event loop woke up, as a histogram.
        cpu_s, wall_s: what the generator used: its processes' CPU, and the longest wall time.
        processes: how many processes generated.
        curves: what a probe has to draw, by its own names.
    """

    done_s: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    between_ms: list[float] = field(default_factory=list)
    stall_ms: list[float] = field(default_factory=list)
    gaps_ms: Histogram = field(default_factory=Histogram)
    deliveries: int = 0
    refused_ms: list[float] = field(default_factory=list)
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0
    late_ms: list[float] = field(default_factory=list)
    lag_ms: Histogram = field(default_factory=Histogram)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    processes: int = 1
    curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Right answers."""
        return len(self.latency_ms)

    @property
    def failed(self) -> int:
        """Wrong answers, of every kind."""
        return sum(self.errors.values())

    @staticmethod
    def merge(parts: Iterable[Outcome]) -> Outcome:
        """One outcome of several processes that worked at the same time."""
        whole = Outcome(processes=0)
        for part in parts:
            for name in _COLUMNS:
                getattr(whole, name).extend(getattr(part, name))
            whole.gaps_ms = whole.gaps_ms.plus(part.gaps_ms)
            whole.lag_ms = whole.lag_ms.plus(part.lag_ms)
            whole.deliveries += part.deliveries
            whole.tokens += part.tokens
            whole.prompt_tokens += part.prompt_tokens
            whole.cached_tokens += part.cached_tokens
            whole.reconnects += part.reconnects
            for kind, count in part.errors.items():
                whole.errors[kind] = whole.errors.get(kind, 0) + count
            whole.cpu_s += part.cpu_s
            whole.wall_s = max(whole.wall_s, part.wall_s)
            whole.processes += part.processes
        return whole
