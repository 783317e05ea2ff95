from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.api.rate_limits import duration, rate_limit_headers, unit_of
from helixflow.inference.quota import LimitName

PARTS = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


def seconds(text: str) -> float:
    found = PARTS.fullmatch(text)
    assert found, text
    hours, minutes, rest, ms = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest + ms / 1000


@pytest.mark.parametrize(
    ("length_s", "text"),
    [
        (0.0, "0ms"),
        (-1.0, "0ms"),
        (0.0119, "12ms"),
        (0.9995, "1s"),
        (1.5, "1.5s"),
        (7.66, "7.66s"),
        (59.9999, "1m0s"),
        (360.0, "6m0s"),
        (86_398.272, "23h59m58.272s"),
        (float("inf"), "9600h0m0s"),
    ],
)
def test_a_length_of_time_is_written_as_openai_does(length_s: float, text: str) -> None:
    assert duration(length_s) == text


@given(st.floats(0, 30 * 86_400))
def test_nobody_is_told_to_come_back_too_early(length_s: float) -> None:
    told = seconds(duration(length_s))
    assert length_s - 1e-6 <= told <= length_s + 0.001 + 1e-6


def test_what_is_left_is_a_whole_number_that_is_there() -> None:
    assert dict(rate_limit_headers("tokens", 100.0, 7.9, 1.0)) == {
        b"x-ratelimit-limit-tokens": b"100",
        b"x-ratelimit-remaining-tokens": b"7",
        b"x-ratelimit-reset-tokens": b"1s",
    }
    assert dict(rate_limit_headers("requests", 5.0, -3.0, 1.0))[
        b"x-ratelimit-remaining-requests"
    ] == b"0"  # fmt: skip


def test_limits_have_the_unit_that_they_count() -> None:
    units = {name: unit_of(name) for name in LimitName}
    assert {name for name, unit in units.items() if unit is None} == {
        LimitName.CONCURRENT_REQUESTS, LimitName.SPEND_PER_DAY, LimitName.SPEND_PER_MONTH,
    }  # fmt: skip
    assert all(name.startswith(unit) for name, unit in units.items() if unit)
