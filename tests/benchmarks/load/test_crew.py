from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load import crew
from benchmarks.load.plan import Closed, Expected, Plan, Target
from benchmarks.systems.loopback import free_ports
from benchmarks.systems.trivial_server import TrivialServer


def test_processes_drive_a_load_together(tmp_path: Path) -> None:
    system = TrivialServer()
    try:
        target = system.start(tmp_path).target("/")
        plan = Plan(target, ["{}"], Expected(16), Closed(3, requests_each=2))
        outcome = crew.drive(plan, processes=2)
    finally:
        system.stop()
    assert (outcome.answered, outcome.failed, outcome.processes) == (6, 0, 2)
    assert outcome.cpu_s > 0


def test_a_system_that_does_not_listen_is_said() -> None:
    target = Target("127.0.0.1", free_ports(1)[0], "/")
    plan = Plan(target, ["{}"], Expected(16), Closed(1, requests_each=1))
    with pytest.raises(crew.LoadFailed, match="refused"):
        crew.drive(plan)
