from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from helixflow.ids import OrganizationId
from helixflow.limits.headers import Rates, duration
from helixflow.limits.holding import Holding
from helixflow.limits.ports import CounterId, Grant
from helixflow.limits.slots import Slots


def holding(name: str, limit: int, remaining: int, reset_s: float) -> Holding:
    held = Holding(CounterId(OrganizationId("org_1"), name, "organization"), limit)
    held.hear(Grant(0, 0.0, remaining, reset_s), 0, 100.0)
    return held


def test_times_are_written_as_openai_writes_them() -> None:
    written = [duration(each) for each in (-1, 0, 0.0113, 0.9995, 1, 1.2, 59.5, 360, 7_384)]
    assert written == [
        b"0ms", b"0ms", b"12ms", b"1s", b"1s", b"2s", b"1m0s", b"6m0s", b"2h3m4s",
    ]  # fmt: skip


@given(st.floats(0, 1e7))
def test_a_time_is_rounded_up_and_can_be_read_back(seconds: float) -> None:
    found = re.fullmatch(rb"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?|(\d+)ms", duration(seconds))
    assert found is not None
    hours, minutes, whole, milliseconds = (int(part or 0) for part in found.groups())
    read = hours * 3600 + minutes * 60 + whole + milliseconds / 1000
    assert seconds - 1e-6 <= read < seconds + (1.0 if seconds >= 0.999 else 0.002)


def test_the_counter_of_which_the_least_is_left_is_told() -> None:
    held = [
        holding("requests_per_minute", 60, 50, 30.0),
        holding("requests_per_day", 1_000, 7, 5_000.0),
        holding("tokens_per_minute", 9_000, 0, 0.25),
        holding("spend_per_day", 5, 5, 1.0),
        Slots(CounterId(OrganizationId("org_1"), "concurrent_requests", "organization"), 3),
    ]
    assert dict(Rates.among(held).headers(100.0)) == {
        b"x-ratelimit-limit-requests": b"1000",
        b"x-ratelimit-remaining-requests": b"7",
        b"x-ratelimit-reset-requests": b"1h23m20s",
        b"x-ratelimit-limit-tokens": b"9000",
        b"x-ratelimit-remaining-tokens": b"0",
        b"x-ratelimit-reset-tokens": b"250ms",
    }
    assert Rates.among([]).headers(100.0) == ()
