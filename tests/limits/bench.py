"""A store in a test's hands, and ledgers over it, for the tests beside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from helixflow.errors import Refused
from helixflow.ids import RequestId
from helixflow.inference.principal import Principal
from helixflow.inference.quota import LimitName
from helixflow.inference.request import ParsedBody
from helixflow.limits.ledger import Ledger
from helixflow.limits.memory import MemoryLimitStore
from helixflow.limits.ports import Reservation
from helixflow.limits.till import Reserved
from helixflow.settings import LimitsSettings
from helixflow.testing.clock import ManualClock
from helixflow.testing.limit_faults import FaultyStore
from helixflow.testing.signals import RecordingSignals

from .caller import SPEC, body

SETTINGS = LimitsSettings(heartbeat_s=0.001)
RPM, TPM = LimitName.REQUESTS_PER_MINUTE, LimitName.TOKENS_PER_MINUTE
SLOTS, SPEND = LimitName.CONCURRENT_REQUESTS, LimitName.SPEND_PER_DAY


@dataclass
class Bench:
    """A store in a test's hands, and ledgers over it."""

    settings: LimitsSettings = SETTINGS
    wait_s: float = 0.5
    clock: ManualClock = field(default_factory=ManualClock)
    signals: RecordingSignals = field(default_factory=RecordingSignals)

    def __post_init__(self) -> None:
        self.store = FaultyStore(MemoryLimitStore(self.clock, self.settings))
        self.made = 0

    def ledger(self) -> Ledger:
        self.made += 1
        return Ledger(
            self.store, f"h{self.made}", self.settings, self.clock, self.signals, wait_s=self.wait_s
        )


async def reserve(
    ledger: Ledger, principal: Principal, request: ParsedBody | None = None
) -> Reserved:
    return await ledger.reserve(RequestId("req_1"), principal, SPEC, request or body())


async def refused(ledger: Ledger, principal: Principal) -> Refused:
    with pytest.raises(Refused) as caught:
        await reserve(ledger, principal)
    return caught.value


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


def told(reserved: Reservation) -> dict[str, str]:
    return {
        name.decode().removeprefix("x-ratelimit-"): value.decode()
        for name, value in reserved.headers
    }
