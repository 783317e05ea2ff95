from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.model_spec import Price
from helixflow.inference.price import Cost, NanoPrice
from helixflow.inference.usage import Usage

COUNTS = st.integers(0, 10**7)
PRICES = st.builds(NanoPrice, *[st.integers(0, 10**12)] * 3)


def test_a_price_is_exact_in_billionths() -> None:
    assert NanoPrice.of(Price(0.15, 0.0375, 0.6)) == NanoPrice(150_000_000, 37_500_000, 600_000_000)


def test_a_million_tokens_cost_their_price() -> None:
    price = NanoPrice.of(Price(0.10, 0.02, 0.30))
    assert price.cost(Usage(1_000_000, 1_000_000, 0)) == Cost(100_000_000, 0, 300_000_000)
    assert price.cost(Usage(1_000_000, 0, 1_000_000)).total == 20_000_000
    assert price.cost(Usage()) == Cost()


@given(PRICES, st.builds(Usage, COUNTS, COUNTS, COUNTS))
def test_each_part_of_a_cost_is_the_nearest_whole_number(price: NanoPrice, usage: Usage) -> None:
    cached, cost = min(usage.cached_tokens, usage.prompt_tokens), price.cost(usage)
    for part, tokens, per_million in (
        (cost.input, usage.prompt_tokens - cached, price.input),
        (cost.cached_input, cached, price.cached_input),
        (cost.output, usage.completion_tokens, price.output),
    ):
        assert abs(part - Fraction(tokens * per_million, 1_000_000)) <= Fraction(1, 2)
