from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.model_spec import ModelSpec
from helixflow.routing.ports import ModelState, ModelStatus
from helixflow.routing.reconcile import Reconciler, Retries, plan
from helixflow.routing.registry import Registry
from helixflow.settings import RoutingSettings
from helixflow.signals import Metric
from helixflow.testing.clock import ManualClock
from helixflow.testing.fleet import FakeFleet
from helixflow.testing.gateway import READY, some_spec
from helixflow.testing.signals import RecordingSignals

FAILED = ModelStatus(ModelState.FAILED, "out of memory")
LOADING = ModelStatus(ModelState.LOADING)

names = st.sampled_from([f"echo-{letter}" for letter in "abcdef"])
desired = st.lists(
    st.builds(lambda name, queue: some_spec(name, queue_max=queue), names, st.integers(0, 2)),
    unique_by=lambda spec: spec.name,
)
recorded = st.dictionaries(
    names, st.sampled_from(["", "other", *(some_spec("echo-a", queue_max=n).fingerprint for n in range(3))])
)  # fmt: skip


class TestPlan:
    @given(desired, recorded)
    def test_what_is_right_is_left_alone_and_what_is_not_is_done(
        self, specs: list[ModelSpec], deployed: dict[str, str]
    ) -> None:
        todo = plan(specs, deployed)
        wanted = {spec.name: spec for spec in specs}
        for name, spec in wanted.items():
            assert (spec in todo.start) == (deployed.get(name) != spec.fingerprint)
            assert name not in todo.stop
        assert set(todo.stop) == deployed.keys() - wanted.keys()
        assert list(todo.start) == [spec for spec in specs if spec in todo.start]

    @given(desired, recorded)
    def test_after_it_is_done_nothing_is_left_to_do(
        self, specs: list[ModelSpec], deployed: dict[str, str]
    ) -> None:
        todo = plan(specs, deployed)
        after = {name: mark for name, mark in deployed.items() if name not in todo.stop}
        after |= {spec.name: spec.fingerprint for spec in todo.start}
        again = plan(specs, after)
        assert (again.start, again.stop) == ((), ())


class TestRetries:
    def test_the_pause_doubles_and_has_a_bound(self) -> None:
        retries, now, tries = Retries(), 1000.0, []
        for _ in range(4000):
            if retries.due({"m": FAILED}, now):
                tries.append(now)
            now += 1.0
        pauses = [later - earlier for earlier, later in zip([1000.0, *tries], tries, strict=False)]
        assert pauses == [60, 120, 240, 480, 900, 900, 900]

    @given(st.lists(st.tuples(st.floats(0, 500), st.sampled_from([FAILED, LOADING])), max_size=50))
    def test_two_tries_are_never_closer_than_the_pause(
        self, steps: list[tuple[float, ModelStatus]]
    ) -> None:
        retries, now, last, pause = Retries(first_s=60, max_s=900), 0.0, None, 60.0
        for seconds, status in steps:
            now += seconds
            if retries.due({"m": status}, now):
                assert status is FAILED
                if last is not None:
                    assert now - last >= pause
                last, pause = now, min(2 * pause, 900)

    def test_a_model_that_became_ready_begins_anew(self) -> None:
        retries = Retries()
        retries.due({"m": FAILED}, 0)
        assert retries.due({"m": FAILED}, 60) == ["m"]
        assert retries.due({"m": READY}, 61) == []
        assert retries.due({"m": FAILED}, 62) == []
        assert retries.due({"m": FAILED}, 121) == []
        assert retries.due({"m": FAILED}, 122) == ["m"]

    def test_loading_in_between_does_not_shorten_the_pause(self) -> None:
        retries = Retries()
        retries.due({"m": FAILED}, 0)
        retries.due({"m": FAILED}, 60)
        assert retries.due({"m": LOADING}, 70) == []
        assert retries.due({"m": FAILED}, 121) == []
        assert retries.due({"m": FAILED}, 180) == ["m"]

    def test_a_model_that_is_gone_is_forgotten(self) -> None:
        retries = Retries()
        retries.due({"m": FAILED, "n": FAILED}, 0)
        retries.due({"n": FAILED}, 1)
        assert retries.due({"m": FAILED, "n": FAILED}, 60) == ["n"]
        assert retries.due({"m": FAILED, "n": FAILED}, 120) == ["m"]


@dataclass
class Room:
    """A reconciler, with everything around it in the test's hands."""

    specs: tuple[ModelSpec, ...] = (some_spec("echo-a"), some_spec("echo-b"))
    fleet: FakeFleet = field(default_factory=FakeFleet)

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.signals = RecordingSignals()
        self.registry = Registry("epoch", 0, self.specs)
        self.reconciler = Reconciler(
            self.registry,
            self.fleet,
            RoutingSettings(reconcile_s=0.000_1),
            self.clock,
            self.signals,
        )

    @property
    def states(self) -> list[ModelState]:
        return [entry.status.state for entry in self.registry.snapshot.entries]


class TestReconciler:
    async def test_the_first_step_starts_everything_at_once(self) -> None:
        room = Room()
        await room.reconciler.step()
        assert room.fleet.started == [["echo-a", "echo-b"]]
        assert room.states == [ModelState.PENDING, ModelState.PENDING]
        assert not room.reconciler.settled

    async def test_the_next_step_restarts_nothing_and_takes_over_the_states(self) -> None:
        room = Room()
        await room.reconciler.step()
        room.fleet.states = {"echo-a": READY, "echo-b": LOADING}
        await room.reconciler.step()
        await room.reconciler.step()
        assert len(room.fleet.started) == 1
        assert room.fleet.stopped == []
        assert room.states == [ModelState.READY, ModelState.LOADING]
        assert room.signals.counts == {(Metric.MODEL_STATE_CHANGES, ()): 1}
        ready = room.signals.gauges[Metric.MODEL_READY_REPLICAS, (("model", "echo-a"),)]
        assert ready == READY.replicas

    async def test_a_running_app_with_the_right_fingerprint_is_adopted(self) -> None:
        specs = (some_spec("echo-a"),)
        room = Room(specs, FakeFleet({"echo-a": specs[0].fingerprint}))
        await room.reconciler.step()
        assert room.fleet.started == []

    async def test_an_app_of_another_spec_is_deployed_again_and_a_stranger_taken_down(self) -> None:
        room = Room((some_spec("echo-a"),), FakeFleet({"echo-a": "other", "echo-z": "any"}))
        await room.reconciler.step()
        assert room.fleet.started == [["echo-a"]]
        assert room.fleet.stopped == [["echo-z"]]

    async def test_a_model_that_failed_is_tried_again_after_its_pause(self) -> None:
        room = Room()
        room.fleet.states = {"echo-a": FAILED, "echo-b": READY}
        await room.reconciler.step()
        await room.reconciler.step()
        assert room.reconciler.settled
        room.clock.advance(59)
        await room.reconciler.step()
        assert len(room.fleet.started) == 1
        room.clock.advance(1)
        await room.reconciler.step()
        assert room.fleet.started[1:] == [["echo-a"]]

    async def test_the_loop_goes_on_after_a_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        room = Room()
        room.fleet.failures = [RuntimeError("the controller does not answer")]
        room.fleet.states = {"echo-a": READY, "echo-b": READY}
        with caplog.at_level(logging.ERROR):
            task = asyncio.create_task(room.reconciler.run())
            await room.fleet.next_look()
            await room.fleet.next_look()
        assert room.reconciler.settled
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "the controller does not answer" in caplog.text
        assert room.fleet.started == [["echo-a", "echo-b"]]

    async def test_the_same_failure_is_logged_once_in_a_row(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        room = Room()
        room.fleet.failures = [RuntimeError("away"), RuntimeError("away"), RuntimeError("other")]
        with caplog.at_level(logging.ERROR):
            task = asyncio.create_task(room.reconciler.run())
            await room.fleet.next_look()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert caplog.messages == ["reconciling failed; trying again"] * 2

    def test_a_platform_without_models_is_settled(self) -> None:
        assert Room(()).reconciler.settled
