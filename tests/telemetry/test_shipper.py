from __future__ import annotations

import asyncio
from pathlib import Path

from helixflow.errors import Refusal, Unavailable
from helixflow.settings import TelemetrySettings
from helixflow.signals import Metric
from helixflow.telemetry.shipment import Shipment
from helixflow.telemetry.shipper import Lag, Pause, Shipper
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import AckWire, BatchWire
from helixflow.testing.clock import ManualClock


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


async def test_how_full_the_disk_is_is_told_and_a_folder_that_is_gone_is_no_trouble(
    tmp_path: Path,
) -> None:
    for folder, told in ((tmp_path, True), (tmp_path / "gone", False)):
        tally = Tally(10)
        hub = Gone()
        shipment = Shipment("auth-1", "auth", None, tally, hub, 10)
        settings = TelemetrySettings()
        shipper = Shipper(shipment, tally, hub, folder, settings, ManualClock())
        task = asyncio.create_task(shipper.run())
        await asyncio.wait_for(hub.asked.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        levels = {name: level for name, _, level in tally.take(levels=True).gauges}
        assert (Metric.DISK_USAGE in levels) is told
        assert 0 <= levels.get(Metric.DISK_USAGE, 0) <= 1


class Gone:
    """A hub that is away."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def ship(self, batch: BatchWire) -> AckWire:
        self.asked.set()
        raise Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "away")
