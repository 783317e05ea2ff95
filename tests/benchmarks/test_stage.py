from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results import Visit
from benchmarks.stage import Stage
from benchmarks.systems.in_process import ThisProcess
from benchmarks.systems.ports import Running, StartFailed, System


class Recorded(ThisProcess):
    def __init__(self, base: str, said: list[str], *, fails: bool = False) -> None:
        super().__init__()
        self.base = base
        self._said = said
        self._fails = fails

    def start(self, folder: Path) -> Running:
        self._said.append(f"start {self.base}")
        if self._fails:
            raise StartFailed("no")
        return Running("", 0, 7.0, facts={"base": self.base})

    def become(self, other: System) -> None:
        self._said.append(f"become {other.base}")

    def stop(self) -> None:
        self._said.append(f"stop {self.base}")


def visit(number: int) -> Visit:
    return Visit("s", "x", number, number)


def test_neighbours_of_one_base_share_a_start_and_others_do_not() -> None:
    said: list[str] = []
    stage, records = Stage(), [visit(n) for n in range(3)]
    first, _ = stage.enter(Recorded("a", said), records[0])
    shared, running = stage.enter(Recorded("a", said), records[1])
    assert shared is first
    assert running.facts == {"base": "a"}
    stage.enter(Recorded("b", said), records[2])
    stage.clear()
    assert said == ["start a", "become a", "stop a", "start b", "stop b"]
    assert [(each.shared, each.ready_s) for each in records] == [
        (False, 7.0),
        (True, 0.0),
        (False, 7.0),
    ]
    assert records[0].stop_s == 0.0
    assert records[1].stop_s > 0.0


def test_a_system_without_a_base_starts_anew() -> None:
    said: list[str] = []
    stage = Stage()
    for number in range(2):
        stage.enter(Recorded("", said), visit(number))
    stage.clear()
    assert said == ["start ", "stop ", "start ", "stop "]


def test_a_system_that_did_not_start_is_stopped_and_not_shared() -> None:
    said: list[str] = []
    stage = Stage()
    with pytest.raises(StartFailed):
        stage.enter(Recorded("a", said, fails=True), visit(0))
    assert stage.folder is not None
    stage.clear()
    assert stage.folder is None
    stage.enter(Recorded("a", said), visit(1))
    stage.clear()
    stage.clear()
    assert said == ["start a", "stop a", "start a", "stop a"]
