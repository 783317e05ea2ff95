"""What tokens cost, in whole numbers: billionths of a US dollar.

Prices are kept per million tokens, so that the smallest one that people write (0.001 USD) is exact.
Sums of costs are exact too: a request's cost is rounded once, when it is computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.inference.model_spec import Price
from helixflow.inference.quota import NANO_USD
from helixflow.inference.usage import Usage

_PER = 1_000_000


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

    def cost(self, usage: Usage) -> int:
        """What it costs, in billionths of a US dollar; half of one counts as a whole one."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        total = (
            (usage.prompt_tokens - cached) * self.input
            + cached * self.cached_input
            + usage.completion_tokens * self.output
        )
        return (total + _PER // 2) // _PER
