from __future__ import annotations

from pathlib import Path

from benchmarks.identity.cold_keys import ColdKeys
from benchmarks.systems.in_process import Sqlite


def test_every_key_in_use_is_looked_up_once(tmp_path: Path) -> None:
    probe = ColdKeys(40, 10)
    running = Sqlite().start(tmp_path)
    probe.prepare(running)
    probed = probe.measure(running)
    assert len(probed.outcome.latency_ms) == 10
    assert probed.figures["look_up_p99_ms"] >= probed.figures["look_up_p50_ms"] > 0
    assert probed.figures["warm_us"] > 0
    assert (probe.name, probe.title) == ("k40", "40 keys, 10 in use")
