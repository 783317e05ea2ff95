from __future__ import annotations

from helixflow.limits.sizing import Lives, is_far, lease_amount, level_amount
from helixflow.settings import LimitsSettings


def test_far_from_the_limit_a_lease_is_a_share_of_what_is_left() -> None:
    assert lease_amount(1, 10_000, 800, 1_000) == 100
    assert lease_amount(1, 30, 800, 1_000) == 30
    assert lease_amount(0, 30, 800, 1_000) == 30


def test_near_the_limit_it_is_exactly_what_is_needed() -> None:
    assert lease_amount(3, 100, 10, 1_000) == 3
    assert lease_amount(3, 100, 3, 1_000) == 3
    assert lease_amount(4, 100, 3, 1_000) is None
    assert lease_amount(0, 100, 100, 1_000) == 0
    assert lease_amount(0, 100, -5, 1_000) == 0
    assert lease_amount(1, 100, -5, 1_000) is None


def test_a_level_is_what_is_needed_and_a_share_of_what_is_free_beside_it() -> None:
    assert level_amount(3, 4, 100, 84) == 14
    assert level_amount(3, 4, 6, 84) == 6
    assert level_amount(3, 4, 100, 4) == 4
    assert level_amount(3, 4, 100, 3) is None


def test_a_level_that_is_only_stated_is_never_more_than_is_free() -> None:
    assert level_amount(5, 0, 5, 3) == 3
    assert level_amount(5, 0, 5, -3) == 0
    assert level_amount(5, 0, 2, 20) == 5


def test_leases_live_long_only_while_the_limit_is_far() -> None:
    lives = Lives.of(LimitsSettings(lease_s=5, lease_far_s=30, standby_s=60, margin_s=0.5))
    assert lives.lease_s(30.0, 500, 1_000) == 30.0
    assert lives.lease_s(600.0, 500, 1_000) == 60.0
    assert lives.lease_s(30.0, 100, 1_000) == 5.0
    assert lives.longest_s == 60.5


def test_a_limit_of_nothing_is_never_far() -> None:
    assert not is_far(0, 0)
    assert is_far(1, 4)
    assert not is_far(1, 5)
