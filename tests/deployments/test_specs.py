from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from deployments.specs import model_spec
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
from helixflow.settings import ModelSettings

FULL: dict[str, Any] = {
    "name": "m",
    "engine": "vllm",
    "source": {"gguf": "package:p/w.gguf", "revision": "r", "sha256": "00"},
    "aliases": ["a", "b"],
    "owner": "somebody",
    "region": "eu",
    "data_class": "public",
    "context_tokens": 1,
    "sequences_max": 2,
    "queue_max": 3,
    "choices_max": 4,
    "logprobs_max": 5,
    "schema_bytes_max": 6,
    "engine_args": {"dtype": "float32"},
    "replicas": {"min": 0, "max": 7, "target_ongoing": 8},
    "resources": {"cpus": 9, "gpus": 0.5, "threads": 10, "memory_gib": 11},
    "price": {"input_usd": 1, "cached_input_usd": 0.5, "output_usd": 2},
    "echo": {"tokens": 12, "tokens_per_s": 13},
    "fair_queue": {
        "enabled": False,
        "input_weight": 14,
        "output_weight": 15,
        "overtakes_max": 16,
        "tenant_share": 0.17,
        "reserved_share": 0.18,
    },
}


def spec_of(**settings: Any) -> ModelSpec:
    return model_spec(ModelSettings(**settings))


def test_every_setting_of_a_model_reaches_its_spec() -> None:
    assert FULL.keys() == ModelSettings.model_fields.keys()
    assert FULL.keys() == {one.name for one in fields(ModelSpec)}
    assert spec_of(**FULL) == ModelSpec(
        name="m",
        engine=EngineKind.VLLM,
        source=ModelSource(SourceKind.GGUF, "package:p/w.gguf", "r", "00"),
        aliases=("a", "b"),
        owner="somebody",
        region="eu",
        data_class="public",
        context_tokens=1,
        sequences_max=2,
        queue_max=3,
        choices_max=4,
        logprobs_max=5,
        schema_bytes_max=6,
        engine_args={"dtype": "float32"},
        replicas=Replicas(0, 7, 8),
        resources=Resources(9, 0.5, 10, 11),
        price=Price(1, 0.5, 2),
        echo=EchoPace(12, 13),
        fair_queue=FairShares(False, 14, 15, 16, 0.17, 0.18),
    )


def test_what_a_setting_does_not_say_is_the_specs_default() -> None:
    spec = spec_of(name="echo-1", engine="echo")
    assert spec == ModelSpec("echo-1", EngineKind.ECHO)
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("kind", [SourceKind.PATH, SourceKind.HUGGINGFACE, SourceKind.GGUF])
def test_a_source_is_of_the_kind_that_it_names(kind: SourceKind) -> None:
    spec = spec_of(name="m", source={kind.value: "there"})
    assert spec.source == ModelSource(kind, "there")


def test_cached_input_costs_what_input_costs_unless_it_is_said() -> None:
    echo = {"name": "echo-1", "engine": "echo"}
    assert spec_of(**echo, price={"input_usd": 2}).price.cached_input_usd == 2
    free = {"input_usd": 2, "cached_input_usd": 0}
    assert spec_of(**echo, price=free).price.cached_input_usd == 0
