from __future__ import annotations

import asyncio

import pytest

from helixflow.settings import ShippingSettings
from helixflow.signals import EventKind
from helixflow.telemetry.authentication_failures import AuthenticationFailures, network_of
from helixflow.testing.clock import ManualClock
from helixflow.testing.signals import RecordingSignals


class Failures:
    def __init__(self, **settings: float) -> None:
        self.clock, self.signals = ManualClock(now=1000.0), RecordingSignals()
        told = ShippingSettings.model_validate({"failures_s": 10, **settings})
        self.failures = AuthenticationFailures(self.signals, told, self.clock)

    @property
    def told(self) -> list[tuple[object, ...]]:
        names = ("network", "reason", "count", "first_at", "last_at")
        return [tuple(event.facts[name] for name in names) for event in self.signals.events]


def test_the_first_one_is_told_at_once_and_the_others_when_the_turn_is_over() -> None:
    at = Failures()
    for second in range(5):
        at.failures.note(f"192.0.2.{second}", "invalid_api_key")
        at.clock.advance(1)
    at.failures.tell()
    assert at.told == [("192.0.2.0/24", "invalid_api_key", 1, 1000.0, 1000.0)]
    at.clock.advance(5)
    at.failures.tell()
    assert at.told[1:] == [("192.0.2.0/24", "invalid_api_key", 4, 1001.0, 1004.0)]
    at.failures.note("192.0.2.9", "invalid_api_key")
    assert at.told[2:] == [("192.0.2.0/24", "invalid_api_key", 1, 1010.0, 1010.0)]
    at.clock.advance(11)
    at.failures.tell()
    assert len(at.told) == 3
    events = at.signals.events
    assert {event.kind for event in events} == {EventKind.AUTHENTICATION_FAILED}
    assert len({event.id for event in events}) == 3
    assert events[1].at == 1004.0


def test_networks_and_reasons_are_told_apart_up_to_a_bound() -> None:
    at = Failures(failures_max=2)
    for number in range(1, 200):
        at.failures.note(f"198.51.{number}.1", "invalid_api_key")
    at.failures.note("198.51.1.7", "expired_api_key")
    at.failures.tell(everything=True)
    assert [(network, reason, count) for network, reason, count, _, _ in at.told] == [
        ("198.51.1.0/24", "invalid_api_key", 1),
        ("198.51.2.0/24", "invalid_api_key", 1),
        ("other", "invalid_api_key", 1),
        ("other", "expired_api_key", 1),
        ("other", "invalid_api_key", 196),
    ]


@pytest.mark.parametrize(
    ("source", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("handle", "unknown"),
        ("", "unknown"),
    ],
)
def test_an_address_is_only_kept_as_its_network(source: str, network: str) -> None:
    assert network_of(source) == network


async def test_it_tells_by_itself() -> None:
    at = Failures(failures_s=0.001)
    work = asyncio.create_task(at.failures.run())
    for _ in range(3):
        at.failures.note("192.0.2.1", "invalid_api_key")
    at.clock.advance(1)
    async with asyncio.timeout(5):
        while len(at.told) < 2:
            await asyncio.sleep(0.001)
    work.cancel()
    assert [row[2] for row in at.told] == [1, 2]
