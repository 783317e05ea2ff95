from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fairness.probes import CONTEST, EchoContest, RealContest
from benchmarks.scenarios.fairness import fairness
from benchmarks.settings import FULL, QUICK
from benchmarks.systems.in_process import FirstComeReplica, ThisProcess, fairly


def test_the_echo_contest_is_exact_and_shows_what_the_fair_queue_does(tmp_path: Path) -> None:
    probe = EchoContest()
    probe.prepare(ThisProcess().start(tmp_path))
    fair, again = (probe.measure(ThisProcess().start(tmp_path)) for _ in range(2))
    unfair = probe.measure(FirstComeReplica().start(tmp_path))
    assert fair.figures == again.figures
    assert fair.figures["drift_of_bound"] < 1 < unfair.figures["drift_of_bound"]
    assert fair.figures["wait_in_sequences"] < 1 < unfair.figures["wait_in_sequences"]
    for probed in (fair, unfair):
        assert probed.outcome.answered == 80 + 80 + 8
        curves = probed.outcome.curves
        assert sorted(curves["seconds"]) == curves["seconds"]
        assert curves["first"][-1] == curves["second"][-1]


def test_the_answers_of_a_contest_differ_in_length() -> None:
    lengths = {CONTEST.body(number)["max_tokens"] for number in range(80)}
    assert (min(lengths), max(lengths)) == (16, 32)


def test_both_systems_get_the_same_contests(tmp_path: Path) -> None:
    described = fairness(QUICK).described()
    assert list(described.systems) == ["first_come", "helixflow"]
    assert list(described.loads) == ["echo", "real"]
    assert fairness(FULL).rounds > fairness(QUICK).rounds
    assert not fairly(FirstComeReplica().start(tmp_path))
    assert fairly(ThisProcess().start(tmp_path))


@pytest.mark.slow
def test_a_contest_on_the_real_engine_is_held_in_a_process_of_its_own() -> None:
    probed = RealContest().measure(ThisProcess().start(Path()))
    assert probed.outcome.answered == 40 + 24 + 4
    assert probed.figures["drift_of_bound"] < 1
