from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helixflow.errors import NotFound, Refusal, Unavailable
from helixflow.routing.ports import ModelState, ModelStatus
from helixflow.routing.registry import Catalog, Entry, Registry, Snapshot
from helixflow.testing import values
from helixflow.testing.gateway import READY, some_catalog, some_spec
from helixflow.testing.identity import some_principal

ANYBODY = some_principal()
LOADING = ModelStatus(ModelState.LOADING, "reading weights", 0.25)

statuses = st.builds(
    ModelStatus, st.sampled_from(ModelState), st.text(max_size=9), st.floats(0, 1), st.integers(0, 9)
)  # fmt: skip
snapshots = st.builds(
    Snapshot,
    st.text(max_size=9),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.lists(st.builds(Entry, values.model_specs, statuses), max_size=3).map(tuple),
)


@settings(max_examples=30)  # specs are slow to draw
@given(snapshots)
def test_a_snapshot_comes_back_from_the_wire_as_it_was(snapshot: Snapshot) -> None:
    assert Snapshot.from_wire(snapshot.to_wire()) == snapshot


class TestRegistry:
    def test_models_begin_pending_in_the_configurations_order(self) -> None:
        specs = (some_spec("echo-b"), some_spec("echo-a"))
        registry = Registry("epoch", 12, specs)
        assert registry.specs == specs
        assert (registry.snapshot.revision, registry.snapshot.created) == (1, 12)
        assert {one.status.state for one in registry.snapshot.entries} == {ModelState.PENDING}

    def test_a_change_of_state_raises_the_revision_and_the_same_state_does_not(self) -> None:
        registry = Registry("epoch", 0, [some_spec()])
        assert registry.update({"echo-1": READY, "a-stranger": READY})
        assert registry.snapshot.revision == 2
        assert not registry.update({"echo-1": READY})
        assert registry.snapshot.revision == 2
        assert [one.spec.name for one in registry.snapshot.entries] == ["echo-1"]

    def test_a_model_that_the_fleet_does_not_know_is_pending_again(self) -> None:
        registry = Registry("epoch", 0, [some_spec()])
        registry.update({"echo-1": READY})
        assert registry.update({})
        assert registry.snapshot.entries[0].status == ModelStatus(ModelState.PENDING)

    async def test_who_names_another_revision_is_answered_at_once(self) -> None:
        registry = Registry("epoch", 0, [some_spec()])
        assert await registry.wait("", 0, 60.0) is registry.snapshot
        assert await registry.wait("epoch", 9, 60.0) is registry.snapshot
        assert await registry.wait("another epoch", 1, 60.0) is registry.snapshot

    async def test_without_a_change_the_wait_ends_with_nothing(self) -> None:
        registry = Registry("epoch", 0, [some_spec()])
        assert await registry.wait("epoch", 1, 0) is None

    async def test_a_change_wakes_everybody_who_waits(self) -> None:
        registry = Registry("epoch", 0, [some_spec()])
        waiting = [asyncio.create_task(registry.wait("epoch", 1, 60.0)) for _ in range(3)]
        await asyncio.sleep(0)
        registry.update({"echo-1": LOADING})
        registry.update({"echo-1": READY})
        assert await asyncio.gather(*waiting) == [registry.snapshot] * 3
        assert registry.snapshot.revision == 3

    async def test_who_waits_again_is_woken_by_the_next_change(self) -> None:
        registry = Registry("epoch", 0, [some_spec()])
        registry.update({"echo-1": LOADING})
        waiting = asyncio.create_task(registry.wait("epoch", 2, 60.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        registry.update({"echo-1": READY})
        assert await waiting is registry.snapshot


class TestCatalog:
    def test_before_any_copy_everything_is_unavailable(self) -> None:
        catalog = Catalog(5.0)
        assert catalog.snapshot is None
        assert catalog.visible(ANYBODY) == []
        with pytest.raises(Unavailable) as caught:
            catalog.resolve("echo-1", ANYBODY)
        assert caught.value.reason is Refusal.REGISTRY_UNAVAILABLE
        assert caught.value.retry_after_s == 5.0

    def test_a_ready_model_is_found_by_its_name_and_its_aliases(self) -> None:
        catalog = some_catalog(Entry(some_spec(aliases=("e", "org/echo")), READY))
        for name in ("echo-1", "e", "org/echo"):
            assert catalog.resolve(name, ANYBODY).spec.name == "echo-1"

    def test_a_newer_copy_replaces_the_whole_of_the_older_one(self) -> None:
        catalog = some_catalog(Entry(some_spec(aliases=("e",)), READY))
        newer = Snapshot("epoch", 2, 0, (Entry(some_spec("echo-2"), READY),))
        catalog.replace(newer)
        assert catalog.snapshot is newer
        assert [one.spec.name for one in catalog.visible(ANYBODY)] == ["echo-2"]
        for name in ("echo-1", "e"):
            with pytest.raises(NotFound):
                catalog.resolve(name, ANYBODY)

    def test_a_model_that_loads_says_how_far_it_is(self) -> None:
        with pytest.raises(Unavailable) as caught:
            some_catalog(Entry(some_spec(), LOADING)).resolve("echo-1", ANYBODY)
        assert caught.value.to_wire() == (
            "model_loading",
            "The model 'echo-1' is not ready yet (reading weights, 25%).",
            "model",
            5.0,
        )

    def test_a_model_that_waits_says_that(self) -> None:
        pending = Entry(some_spec(), ModelStatus(ModelState.PENDING))
        with pytest.raises(Unavailable, match=r"not ready yet \(pending, 0%\)"):
            some_catalog(pending).resolve("echo-1", ANYBODY)

    def test_a_model_that_failed_says_why(self) -> None:
        failed = Entry(some_spec(), ModelStatus(ModelState.FAILED, "out of memory"))
        with pytest.raises(Unavailable) as caught:
            some_catalog(failed).resolve("echo-1", ANYBODY)
        assert caught.value.reason is Refusal.MODEL_FAILED
        assert "out of memory" in caught.value.message

    @pytest.mark.parametrize("state", list(ModelState))
    def test_a_model_is_found_in_whatever_state(self, state: ModelState) -> None:
        catalog = some_catalog(Entry(some_spec(), ModelStatus(state)))
        assert catalog.find("echo-1", ANYBODY).status.state is state

    def test_a_wrong_name_gets_the_nearest_one(self) -> None:
        catalog = some_catalog(Entry(some_spec(), READY), Entry(some_spec("echo-large"), READY))
        with pytest.raises(NotFound) as caught:
            catalog.resolve("ecko-1", ANYBODY)
        assert caught.value.to_wire() == (
            "model_not_found",
            "The model 'ecko-1' does not exist. Did you mean 'echo-1'?",
            "model",
            None,
        )

    def test_a_name_like_no_other_gets_no_hint_and_is_shown_in_part(self) -> None:
        with pytest.raises(NotFound) as caught:
            some_catalog().resolve("z" * 100_000, ANYBODY)
        assert caught.value.message == f"The model {'z' * 256!r} does not exist."

    @given(
        st.sampled_from(list(ModelState)),
        st.sampled_from(["echo-secret", "hidden-alias", "echo-secre", "echo-1x", "other"]),
    )
    def test_a_hidden_model_looks_exactly_like_a_missing_one(
        self, state: ModelState, name: str
    ) -> None:
        shown = Entry(some_spec(), READY)
        secret = Entry(
            some_spec("echo-secret", aliases=("hidden-alias",)), ModelStatus(state, "a detail")
        )
        caller = some_principal(models=frozenset({"echo-1"}))
        answers = []
        for catalog in (some_catalog(shown, secret), some_catalog(shown)):
            assert catalog.visible(caller) == [shown]
            for ask in (catalog.resolve, catalog.find):
                with pytest.raises(NotFound) as caught:
                    ask(name, caller)
                answers.append(caught.value.to_wire())
        assert len(set(answers)) == 1

    @settings(max_examples=30)
    @given(snapshots, st.text(max_size=9))
    def test_what_is_found_is_what_is_visible(self, snapshot: Snapshot, name: str) -> None:
        names = [one.spec.name for one in snapshot.entries]
        entries = tuple(
            replace(one, spec=replace(one.spec, aliases=())) for one in snapshot.entries
        )
        catalog = Catalog(5.0)
        catalog.replace(replace(snapshot, entries=entries))
        caller = some_principal(models=frozenset(names[:1]))
        visible = {one.spec.name for one in catalog.visible(caller)}
        for known in {*names, name}:
            if known in visible:
                assert catalog.find(known, caller).spec.name == known
            else:
                with pytest.raises(NotFound):
                    catalog.find(known, caller)
