from __future__ import annotations

from helixflow.telemetry.shipper import Lag, Pause


def test_a_pause_is_longer_each_time_up_to_a_bound_until_it_is_reset() -> None:
    pause = Pause(1.0, 5.0)
    for longest in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert 0.75 * longest <= pause.longer() <= longest
    pause.reset()
    assert pause.longer() <= 1.0


def test_the_lag_is_the_age_of_the_oldest_event_that_some_sink_lacks() -> None:
    lag = Lag()
    assert lag.age(0, 0, 100.0) == 0
    assert lag.age(5, 0, 101.0) == 0
    assert lag.age(9, 0, 103.0) == 2.0
    assert lag.age(9, 5, 104.0) == 1.0
    assert lag.age(9, 7, 105.0) == 2.0
    assert lag.age(9, 9, 106.0) == 0
    assert lag.age(12, 9, 107.0) == 0
    assert lag.age(12, 9, 117.0) == 10.0


def test_a_long_outage_does_not_fill_the_memory() -> None:
    lag = Lag()
    for second in range(10_000):
        lag.age(second + 1, 0, float(second))
    assert len(lag._seen) == 4096
    assert lag.age(10_001, 0, 10_000.0) == 10_000.0
