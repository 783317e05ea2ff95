from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.model_spec import (
    EchoPace,
    EngineKind,
    FairShares,
    ModelSource,
    ModelSpec,
    Price,
    Replicas,
    Resources,
    SourceKind,
)
from helixflow.testing import values

SPEC = ModelSpec("m", EngineKind.VLLM)
CHANGED: dict[str, Any] = {
    "name": "n",
    "engine": EngineKind.ECHO,
    "source": ModelSource(SourceKind.PATH, "/weights"),
    "aliases": ("other",),
    "owner": "somebody",
    "region": "eu",
    "data_class": "public",
    "context_tokens": 1,
    "sequences_max": 1,
    "queue_max": 1,
    "choices_max": 1,
    "logprobs_max": 1,
    "schema_bytes_max": 1,
    "engine_args": {"dtype": "float32"},
    "replicas": Replicas(0, 2),
    "resources": Resources(cpus=2),
    "price": Price(1, 2, 3),
    "echo": EchoPace(1),
    "fair_queue": FairShares(enabled=False),
}
FREE = {"aliases", "data_class", "owner", "price", "region"}


@given(values.model_specs)
def test_a_spec_comes_back_from_json_as_it_was(spec: ModelSpec) -> None:
    back = ModelSpec.from_json(spec.to_json())
    assert back == spec
    assert back.to_json() == spec.to_json()
    assert back.fingerprint == spec.fingerprint


@given(values.model_specs, values.model_specs)
def test_the_fingerprint_is_the_same_exactly_where_what_runs_is(
    one: ModelSpec, other: ModelSpec
) -> None:
    same = replace(other, **{name: getattr(one, name) for name in FREE})
    assert same.fingerprint == other.fingerprint
    assert (one.fingerprint == other.fingerprint) == (one.to_json() == same.to_json())


def test_every_field_is_thought_of_here() -> None:
    assert {one.name for one in fields(ModelSpec)} == set(CHANGED)


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_what_only_the_registry_and_policies_look_at_restarts_nothing(name: str) -> None:
    changed = replace(SPEC, **{name: CHANGED[name]})
    assert changed != SPEC
    assert (changed.fingerprint == SPEC.fingerprint) == (name in FREE)


def test_the_fingerprint_does_not_depend_on_the_order_of_engine_arguments() -> None:
    one = replace(SPEC, engine_args={"a": 1, "b": 2})
    other = replace(SPEC, engine_args={"b": 2, "a": 1})
    assert one.fingerprint == other.fingerprint
    assert one.to_json() == other.to_json()


def test_the_fingerprint_is_short_and_the_same_in_every_process() -> None:
    assert re.fullmatch("[0-9a-f]{16}", SPEC.fingerprint)
    assert ModelSpec("echo-1", EngineKind.ECHO).fingerprint == (
        ModelSpec.from_json('{"name": "echo-1", "engine": "echo"}').fingerprint
    )


@given(
    values.model_specs,
    st.sampled_from(["", "source", "replicas", "resources", "price", "echo", "fair_queue"]),
)
def test_fields_of_a_newer_version_are_left_out_at_any_depth(spec: ModelSpec, part: str) -> None:
    raw = json.loads(spec.to_json())
    (raw[part] if part else raw)["of_tomorrow"] = 1
    assert ModelSpec.from_json(json.dumps(raw)) == spec


@given(values.model_specs, st.sampled_from(sorted(CHANGED.keys() - {"name", "engine"})))
def test_fields_that_an_older_version_did_not_write_have_their_defaults(
    spec: ModelSpec, name: str
) -> None:
    raw = json.loads(spec.to_json())
    del raw[name]
    default = getattr(ModelSpec("m", EngineKind.VLLM), name)
    assert ModelSpec.from_json(json.dumps(raw)) == replace(spec, **{name: default})


def test_a_replica_is_handed_more_than_it_holds_so_that_its_own_queue_refuses() -> None:
    assert ModelSpec("m", EngineKind.VLLM, sequences_max=3, queue_max=4).ongoing_max > 7 + 100
