from __future__ import annotations

import time

import pytest

from helixflow.clock import SystemClock
from helixflow.testing.clock import ManualClock


def test_the_system_clock_reads_the_machines_clocks() -> None:
    clock = SystemClock()
    assert time.time() - 5 < clock.now() <= time.time()
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_stands_still_until_it_is_turned() -> None:
    clock = ManualClock()
    now, monotonic = clock.now(), clock.monotonic()
    assert (clock.now(), clock.monotonic()) == (now, monotonic)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (now + 2.5, monotonic + 2.5)
    clock.set_wall(0.0)
    assert (clock.now(), clock.monotonic()) == (0.0, monotonic + 2.5)


def test_a_manual_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)
