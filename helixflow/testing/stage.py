"""A pipeline on a stage: everything around it is a fake, and in the test's hands.

stage = Stage(Pipeline, [[Frame(b"1"), last_frame(b"2")]])
assert await stage.answer(stream=True) == b"12"
stage.assert_over("ok", settled=[Usage(3, 5)])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from helixflow.clock import Clock, SystemClock
from helixflow.errors import Refused
from helixflow.identity.last_used import LastUsed
from helixflow.identity.policy_copies import PolicyCopies
from helixflow.inference.principal import Keeping
from helixflow.inference.usage import Usage
from helixflow.routing.registry import Catalog
from helixflow.settings import GatewaySettings
from helixflow.signals import Metric
from helixflow.testing.gateway import (
    KEY,
    FakeAuthenticator,
    FakeDispatcher,
    RecordingLimiter,
    Step,
    last_frame,
    some_call,
    some_catalog,
)
from helixflow.testing.identity import StaticPolicies, some_principal
from helixflow.testing.signals import RecordingSignals

WHOLE = last_frame(b'{"id":"1"}', Usage(3, 5))


@dataclass
class Stage:
    """A pipeline with everything around it in the test's hands.

    Attributes:
        build: `gateway.pipeline.Pipeline`, which this package does not import.
        scripts: what `FakeDispatcher` plays.
        settings, catalog: the pipeline's.
        clock: the pipeline's; the machine's own where none is given, as its timers are.
        keeping: whether the caller's project keeps content, in `contents`.
    """

    build: Callable[..., Any]
    scripts: Sequence[Sequence[Step]] = ([WHOLE],)
    settings: GatewaySettings = field(default_factory=GatewaySettings)
    catalog: Catalog = field(default_factory=some_catalog)
    clock: Clock = field(default_factory=SystemClock)
    keeping: Keeping | None = None
    contents: Any = None

    def __post_init__(self) -> None:
        self.principal = replace(some_principal(), keeping=self.keeping)
        self.authenticator = FakeAuthenticator({KEY: self.principal})
        self.office = StaticPolicies()
        self.policies = PolicyCopies(self.office, sets_max=4)
        self.last_used = LastUsed(self.clock)
        self.limiter = RecordingLimiter()
        self.dispatcher = FakeDispatcher(*self.scripts)
        self.signals = RecordingSignals()
        self.pipeline: Any = self.build(
            authenticator=self.authenticator,
            policies=self.policies,
            last_used=self.last_used,
            catalog=self.catalog,
            limiter=self.limiter,
            dispatcher=self.dispatcher,
            settings=self.settings,
            clock=self.clock,
            signals=self.signals,
            contents=self.contents,
        )

    def exchange(self, **call: Any) -> Any:
        """An exchange of `some_call(**call)`."""
        return self.pipeline.exchange(some_call(clock=self.clock, **call))

    async def answer(self, **call: Any) -> bytes:
        """A whole answer, streamed or not."""
        async with self.exchange(**call) as exchange:
            first: bytes = exchange.first
            return first + b"".join([data async for data in exchange.rest()])

    async def refused(self, **call: Any) -> Refused:
        """Why there is no answer. Raises AssertionError where there is one."""
        try:
            await self.answer(**call)
        except Refused as refused:
            return refused
        raise AssertionError("there was an answer")

    def assert_over(self, outcome: str, *, settled: Sequence[Usage | None] = ()) -> None:
        """Nothing is held any more, and everything was booked and reported exactly once."""
        signals = self.signals
        counted = [
            dict(labels)["outcome"]
            for (metric, labels), times in signals.counts.items()
            if metric is Metric.REQUESTS
            for _ in range(int(times))
        ]
        durations = [name for name, *_ in signals.observed if name is Metric.REQUEST_SECONDS]
        seen = {
            "ongoing": self.pipeline.ongoing,
            "open": self.dispatcher.open,
            "settled": self.limiter.settled,
            "outcomes": counted,
            "durations": len(durations),
        }
        wanted = {
            "ongoing": 0,
            "open": 0,
            "settled": [[usage] for usage in settled],
            "outcomes": [outcome],
            "durations": 1,
        }
        if seen != wanted:
            raise AssertionError(f"{seen} is not {wanted}")
