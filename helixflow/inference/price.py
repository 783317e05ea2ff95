"""What tokens cost, in whole numbers: billionths of a US dollar.

Prices are kept per million tokens, so that the smallest one that people write (0.001 USD) is exact.
Sums of costs are exact too: the three parts of a request's cost are rounded once, when they are
computed, and only added from there on.
"""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.inference.model_spec import Price
from helixflow.inference.quota import NANO_USD
from helixflow.inference.usage import Usage

_PER = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Billionths of a US dollar.

    Attributes:
        input: of prompt tokens that were read.
        cached_input: of prompt tokens that came from the prefix cache.
        output: of generated tokens.
    """

    input: int = 0
    cached_input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        return self.input + self.cached_input + self.output


@dataclass(frozen=True, slots=True)
class NanoPrice:
    """Billionths of a US dollar per million tokens.

    Attributes:
        input: of prompt tokens that were read.
        cached_input: of prompt tokens that came from the prefix cache.
        output: of generated tokens.
    """

    input: int = 0
    cached_input: int = 0
    output: int = 0

    @staticmethod
    def of(price: Price) -> NanoPrice:
        """A model's price."""
        return NanoPrice(
            round(price.input_usd * NANO_USD),
            round(price.cached_input_usd * NANO_USD),
            round(price.output_usd * NANO_USD),
        )

    def cost(self, usage: Usage) -> Cost:
        """What tokens cost; each part is the nearest whole number, half of one rounded up."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        return Cost(
            _part(usage.prompt_tokens - cached, self.input),
            _part(cached, self.cached_input),
            _part(usage.completion_tokens, self.output),
        )


def _part(tokens: int, price: int) -> int:
    return (tokens * price + _PER // 2) // _PER
