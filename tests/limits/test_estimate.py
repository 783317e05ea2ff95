from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import InvalidRequest, Refusal
from helixflow.inference.model_spec import Price
from helixflow.inference.usage import Usage
from helixflow.limits.estimate import Estimate, Estimator, cost, most
from helixflow.testing.gateway import some_spec

from .caller import PRICE, SPEC, body, caller

ANN, BOB = caller(key="key_ann"), caller(key="key_bob")


def test_a_stranger_is_expected_to_be_usual() -> None:
    assert Estimator().estimate(ANN, SPEC, body(400)) == Estimate(101, 256, bounded=False)


def test_no_answer_is_expected_to_be_longer_than_is_allowed() -> None:
    estimator = Estimator()
    assert estimator.estimate(ANN, SPEC, body(max_tokens=10, choices=3)).output == 30
    assert estimator.estimate(ANN, SPEC, body(max_tokens=5_000)).output == 256
    small = some_spec(context_tokens=64)
    assert estimator.estimate(ANN, small, body(max_tokens=5_000)).output == 64


def test_lengths_are_learned_by_key_then_project_then_model() -> None:
    estimator = Estimator()
    for _ in range(50):
        estimator.learn(ANN, SPEC.name, 400, 2, Usage(200, 80))
    assert estimator.estimate(ANN, SPEC, body(400)).output == 40
    assert estimator.estimate(BOB, SPEC, body(400)).output == 40
    assert estimator.estimate(BOB, SPEC, body(400)).prompt == 201
    stranger = caller(key="key_x")
    for _ in range(4):
        estimator.learn(stranger, SPEC.name, 400, 1, Usage(200, 900))
    assert estimator.estimate(stranger, SPEC, body(400)).output == 900
    assert estimator.estimate(ANN, SPEC, body(400)).output == 40
    other = some_spec("other", context_tokens=1_000)
    assert estimator.estimate(ANN, other, body(400)).output == 256


def test_lengths_that_vary_are_expected_to_be_long() -> None:
    estimator = Estimator()
    for turn in range(200):
        estimator.learn(ANN, SPEC.name, 0, 1, Usage(0, 100 if turn % 4 else 500))
    assert 400 <= estimator.estimate(ANN, SPEC, body()).output <= 700


def test_what_was_not_used_for_the_longest_is_forgotten() -> None:
    estimator = Estimator(owners_max=3)
    for who in (ANN, BOB):
        for _ in range(9):
            estimator.learn(who, SPEC.name, 400, 1, Usage(100, 7))
    assert len(estimator._answers) == 3
    assert estimator.estimate(BOB, SPEC, body()).output == 7


def test_without_a_bound_an_answer_takes_a_part_of_a_limit_at_the_most() -> None:
    assert Estimate(100, 256, bounded=False).tokens(100_000) == 356
    assert Estimate(100, 256, bounded=False).tokens(800) == 200
    assert Estimate(100, 256, bounded=False).tokens(2) == 101


def test_with_a_bound_it_takes_no_more_than_can_be_had() -> None:
    assert Estimate(100, 256, bounded=True).tokens(800) == 356
    assert Estimate(100, 256, bounded=True).tokens(300) == 300
    assert Estimate(400, 256, bounded=True).tokens(300) == 400


def test_a_hard_limit_takes_all_that_can_be() -> None:
    assert most(SPEC, body(50, max_tokens=20, choices=2)) == Estimate(114, 40, True, True)
    assert most(SPEC, body(50)) == Estimate(114, 1_000, True, True)
    assert most(SPEC, body(5_000, max_tokens=5_000)) == Estimate(1_000, 1_000, True, True)
    assert most(SPEC, body(50, max_tokens=0)).output == 0
    assert most(SPEC, body(50)).tokens(10) == 1_114


def test_a_hard_limit_needs_some_bound() -> None:
    with pytest.raises(InvalidRequest) as caught:
        most(some_spec(), body())
    assert caught.value.reason is Refusal.MISSING_PARAMETER
    assert caught.value.param == "max_tokens"
    assert most(some_spec(), body(10, max_tokens=5)).output == 5


def test_prices_are_counted_in_billionths_of_a_dollar() -> None:
    assert cost(PRICE, Usage(1_000, 100, 400)) == 600 * 2_000 + 400 * 500 + 100 * 10_000
    assert cost(Price(input_usd=0.0001), Usage(1)) == 1
    assert cost(Price(), Usage(1_000, 1_000)) == 0
    assert Estimate(100, 50, bounded=True).cost(PRICE, 10**9) == 700_000
    assert Estimate(100, 50, bounded=False).cost(PRICE, 800_000) == 300_000


@given(st.integers(0, 10_000), st.integers(1, 5_000), st.integers(1, 9), st.integers(1, 10_000))
def test_what_is_taken_of_a_limit_is_never_the_whole_of_it_for_an_answer_without_bound(
    prompt_bytes: int, seen: int, choices: int, limit: int
) -> None:
    estimator = Estimator()
    for _ in range(5):
        estimator.learn(ANN, SPEC.name, prompt_bytes, choices, Usage(prompt_bytes, seen * choices))
    estimate = estimator.estimate(ANN, SPEC, body(prompt_bytes, choices=choices))
    assert estimate.prompt >= 1
    assert estimate.output >= choices
    assert estimate.tokens(limit) <= estimate.prompt + max(1, limit // 8)
