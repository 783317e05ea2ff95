from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.facts import Admitted, Ended, Generated
from helixflow.inference.model_spec import EngineKind, ModelSpec, Price
from helixflow.inference.price import NanoPrice
from helixflow.inference.quota import ServiceClass
from helixflow.inference.request import Operation
from helixflow.inference.usage import Usage
from helixflow.testing.identity import some_principal

WORDS = st.text(max_size=8)
COUNTS = st.integers(0, 2**50)
SECONDS = st.floats(0, 1e6)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS)
STAGES = st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), SECONDS, max_size=3)


@given(
    st.builds(
        Admitted,
        *[WORDS] * 8,
        stream=st.booleans(),
        estimated_tokens=COUNTS,
        price=st.builds(NanoPrice, COUNTS, COUNTS, COUNTS),
    )
)
def test_an_admission_is_read_as_it_was_written(admitted: Admitted) -> None:
    assert Admitted.read(admitted.facts()) == admitted


@given(
    st.builds(Ended, WORDS, st.none() | USAGES, SECONDS, st.none() | SECONDS, WORDS, stages=STAGES)
)
def test_an_end_is_read_as_it_was_written(ended: Ended) -> None:
    assert Ended.read(ended.facts()) == ended


@given(
    st.builds(Generated, WORDS, WORDS, USAGES, WORDS, SECONDS, st.none() | SECONDS, SECONDS, WORDS)
)
def test_a_generation_is_read_as_it_was_written(generated: Generated) -> None:
    assert Generated.read(generated.facts()) == generated


def test_an_admission_says_who_asks_for_what_at_which_price() -> None:
    principal = replace(some_principal(), subject="user_1")
    spec = ModelSpec(
        "m", EngineKind.ECHO, aliases=("a",), region="eu", price=Price(0.15, 0.075, 0.6)
    )
    admitted = Admitted.of(
        principal,
        spec,
        Operation.COMPLETION,
        stream=True,
        estimated_tokens=7,
        service_class=ServiceClass.BATCH,
    )
    assert admitted.facts() == {
        "organization": principal.organization,
        "project": principal.project,
        "key": principal.key,
        "subject": "user_1",
        "model": "m",
        "region": "eu",
        "operation": "completions",
        "service_class": "batch",
        "stream": True,
        "estimated_tokens": 7,
        "input_price": 150_000_000,
        "cached_input_price": 75_000_000,
        "output_price": 600_000_000,
    }


def test_facts_of_another_version_are_read_as_far_as_they_are_known() -> None:
    facts = {"outcome": "ok", "duration_s": 2, "weather": "fine"}
    assert Ended.read(facts) == Ended("ok", None, 2.0)
    assert Admitted.read({}) == Admitted("", "", "")
    assert Generated.read({"prompt_tokens": 3}) == Generated("", "", Usage(3))


@pytest.mark.parametrize(
    "facts", [{"outcome": 1}, {"duration_s": "1"}, {"prompt_tokens": True}, {"duration_s": True}]
)
def test_facts_of_the_wrong_kind_are_refused(facts: dict[str, str | int | float | bool]) -> None:
    with pytest.raises(ValueError, match="wrong kind"):
        Ended.read(facts)
