from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.budget import GIB, Budget, Shares, plan
from helixflow.engine.hardware import Gpu, Hardware
from helixflow.engine.weights import WeightFacts
from helixflow.errors import ModelLoadError
from helixflow.inference.model_spec import EngineKind, ModelSpec, Resources

FACTS = WeightFacts(weights_bytes=GIB, kv_bytes_per_token=2**15, context_tokens=8192)
CARD = Gpu("NVIDIA L4", "GPU-1", 24 * GIB, 24 * GIB)
LAPTOP = Hardware(cpus=4, memory_bytes=16 * GIB)
SERVER = Hardware(cpus=32, memory_bytes=256 * GIB, gpus=(CARD, CARD))
SHARES = Shares()


def spec(**more: object) -> ModelSpec:
    return replace(ModelSpec("m", EngineKind.VLLM), **more)  # type: ignore[arg-type]


def on(**resources: object) -> ModelSpec:
    return spec(resources=Resources(**resources))  # type: ignore[arg-type]


def test_on_a_cpu_the_cache_is_what_the_sequences_need() -> None:
    budget = plan(spec(context_tokens=2048, sequences_max=8), FACTS, LAPTOP, SHARES)
    assert (budget.device, budget.threads, budget.gpu_memory_utilization) == ("cpu", 4, 0.0)
    assert budget.memory_bytes == 8 * GIB
    assert budget.kv_bytes == 8 * 2048 * 2**15
    assert (budget.kv_tokens, budget.full_sequences) == (8 * 2048, 8)


def test_memory_that_is_asked_for_bounds_weights_and_cache() -> None:
    resources = Resources(memory_gib=2, threads=3)
    budget = plan(spec(context_tokens=4096, resources=resources), FACTS, LAPTOP, SHARES)
    assert (budget.kv_bytes, budget.full_sequences, budget.threads) == (GIB, 8, 3)


def test_a_card_is_used_where_there_is_one() -> None:
    budget = plan(spec(), FACTS, SERVER, SHARES)
    assert (budget.device, budget.device_name) == ("gpu", "NVIDIA L4")
    assert budget.gpu_memory_utilization == pytest.approx(0.9)
    assert budget.kv_bytes == int(24 * GIB * 0.9) - 2 * GIB


def test_half_a_card_is_half_its_memory() -> None:
    budget = plan(on(gpus=0.5), FACTS, SERVER, SHARES)
    assert budget.gpu_memory_utilization == pytest.approx(0.45)
    assert budget.device_name == "0.5 x NVIDIA L4"


def test_two_cards_share_the_weights() -> None:
    budget = plan(on(gpus=2), FACTS, SERVER, SHARES)
    assert (budget.cards, budget.weights_bytes) == (2, GIB // 2)


def test_no_gpus_means_the_cpu_even_where_there_is_a_card() -> None:
    assert plan(on(gpus=0), FACTS, SERVER, SHARES).device == "cpu"


def test_too_few_cards_are_refused_with_the_mend() -> None:
    with pytest.raises(ModelLoadError, match=r"asks for 3 GPUs.*shows 2.*resources\.gpus"):
        plan(on(gpus=3), FACTS, SERVER, SHARES)


def test_weights_that_do_not_fit_are_refused_with_the_mend() -> None:
    with pytest.raises(ModelLoadError, match=r"does not fit.*1\.00 GiB.*memory_gib"):
        plan(on(memory_gib=1), FACTS, LAPTOP, SHARES)


def test_more_memory_than_the_machine_has_is_refused() -> None:
    with pytest.raises(ModelLoadError, match=r"16\.00 GiB"):
        plan(on(memory_gib=17), FACTS, LAPTOP, SHARES)


def test_a_context_that_does_not_fit_is_refused_with_what_does() -> None:
    resources = Resources(memory_gib=1.125)
    with pytest.raises(ModelLoadError, match=r"4,096 tokens do\. Lower context_tokens"):
        plan(spec(context_tokens=4097, resources=resources), FACTS, LAPTOP, SHARES)


def test_a_context_beyond_the_models_own_is_refused() -> None:
    with pytest.raises(ModelLoadError, match=r"at most 8,192"):
        plan(spec(context_tokens=8193), FACTS, LAPTOP, SHARES)


def test_a_context_that_nobody_asked_for_is_cut_to_what_fits() -> None:
    budget = plan(on(memory_gib=1.125), FACTS, LAPTOP, SHARES)
    assert (budget.context_tokens, budget.full_sequences) == (4096, 1)
    assert "cut from 8,192" in budget.explain()


def test_the_explanation_names_device_weights_cache_and_sequences() -> None:
    text = plan(spec(context_tokens=2048, sequences_max=8), FACTS, LAPTOP, SHARES).explain()
    assert text.splitlines() == [
        "device   CPU (4 threads), 8.00 GiB to use",
        "weights  1.00 GiB",
        "KV cache 0.50 GiB: 16,384 tokens",
        "fits     8 sequences of 2,048 tokens",
    ]


MEMORY = st.integers(1, 512)
SPECS = st.builds(
    spec,
    context_tokens=st.sampled_from([0, 128, 2048, 8192]),
    sequences_max=st.integers(1, 256),
    resources=st.builds(Resources, gpus=st.sampled_from([None, 0, 0.25, 0.5, 1, 2])),
)
MODELS = st.builds(
    WeightFacts, st.integers(1, 200 * GIB), st.integers(1, 2**22), st.integers(128, 131_072)
)


def tried(spec: ModelSpec, facts: WeightFacts, gib: int, cards: int) -> Budget | None:
    card = replace(CARD, memory_bytes=gib * GIB)
    try:
        return plan(spec, facts, Hardware(4, gib * GIB, (card,) * cards), SHARES)
    except ModelLoadError:
        return None


@given(SPECS, MODELS, MEMORY, st.integers(0, 2))
def test_a_plan_never_spends_more_than_it_has(
    spec: ModelSpec, facts: WeightFacts, gib: int, cards: int
) -> None:
    budget = tried(spec, facts, gib, cards)
    if budget is None:
        return
    assert budget.weights_bytes + budget.kv_bytes <= budget.memory_bytes <= gib * GIB
    assert budget.context_tokens <= budget.kv_tokens
    assert budget.gpu_memory_utilization <= SHARES.gpu
    assert budget.full_sequences >= 1
    assert budget.explain()


@given(SPECS, MODELS, MEMORY, MEMORY, st.integers(0, 2))
def test_more_memory_never_fits_less(
    spec: ModelSpec, facts: WeightFacts, gib: int, more: int, cards: int
) -> None:
    small, large = tried(spec, facts, gib, cards), tried(spec, facts, gib + more, cards)
    if small is None:
        return
    assert large is not None
    assert large.kv_tokens >= small.kv_tokens
    assert large.context_tokens >= small.context_tokens


@given(SPECS, MODELS, MEMORY, st.integers(1, GIB), st.integers(0, 2))
def test_a_larger_model_never_leaves_more_room(
    spec: ModelSpec, facts: WeightFacts, gib: int, more: int, cards: int
) -> None:
    heavier = replace(facts, weights_bytes=facts.weights_bytes + more)
    large, small = tried(spec, heavier, gib, cards), tried(spec, facts, gib, cards)
    if large is None:
        return
    assert small is not None
    assert small.kv_tokens >= large.kv_tokens
