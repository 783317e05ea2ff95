"""Costs as a bill shows them: line items, and dollars.

Money is a whole number of billionths of a US dollar everywhere inside; it becomes a decimal number
of dollars here and nowhere else. What tokens cost is decided at admission (`inference/price.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.inference.quota import NANO_USD
from helixflow.telemetry.rollups import Sums

CURRENCY = "usd"


@dataclass(frozen=True, slots=True)
class LineItem:
    """One line of a bill.

    Attributes:
        name: `MODEL, input_tokens`, as OpenAI writes it.
        tokens: how many.
        nano_usd: what they cost.
    """

    name: str
    tokens: int
    nano_usd: int


def line_items(model: str, sums: Sums) -> list[LineItem]:
    """The lines of a model's use; kinds of tokens that were not used have none."""
    cost = sums.cost
    lines = (
        ("input_tokens", sums.input_tokens - sums.cached_tokens, cost.input),
        ("cached_input_tokens", sums.cached_tokens, cost.cached_input),
        ("output_tokens", sums.output_tokens, cost.output),
    )
    return [
        LineItem(f"{model}, {kind}", tokens, nano_usd) for kind, tokens, nano_usd in lines if tokens
    ]


def usd(nano_usd: int) -> float:
    """Dollars. Exact to the billionth up to some nine million dollars, as far as a float goes."""
    return nano_usd / NANO_USD
