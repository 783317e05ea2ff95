"""How long prompts and answers of real traffic are: pure tables, the same at every call."""

from __future__ import annotations

import math
from statistics import NormalDist

# Each of these, after a space, is one token of the demo model.
WORDS = (
    "river", "moon", "ship", "bakery", "winter", "chess", "bridge", "garden",
    "stone", "music", "water", "light", "house", "forest", "summer", "road",
)  # fmt: skip

# Conversations that people shared, as Kwon et al. describe them ("Efficient Memory Management for
# Large Language Model Serving with PagedAttention", 2023, section 6.1): mean lengths in tokens.
PROMPT_MEAN, ANSWER_MEAN = 161.0, 338.0
# That they are log-normal with this sigma is our assumption: half of all answers have 205 tokens at
# most, one in ten more than 740.
SIGMA = 1.0


def words(count: int, begin: int = 0) -> str:
    """Text of `count` tokens; another one for every `begin`."""
    size = len(WORDS)
    return " ".join(WORDS[(begin + n + n // size * (begin + 1)) % size] for n in range(count))


def log_normal(count: int, mean: float, most: int, sigma: float = SIGMA) -> list[int]:
    """Lengths at `count` evenly spaced quantiles of a log-normal distribution, ascending.

    Its median is `mean * exp(-sigma^2 / 2)`. Lengths are between 1 and `most`.
    """
    middle = math.log(mean) - sigma * sigma / 2
    normal = NormalDist(middle, sigma)
    drawn = [math.exp(normal.inv_cdf((rank + 0.5) / count)) for rank in range(count)]
    return [min(most, max(1, round(length))) for length in drawn]


def conversation(count: int, most: int) -> list[tuple[int, int]]:
    """Lengths of `count` prompts and their answers, in an order in which long and short are mixed
    and neither says anything about the other. `count` is a power of two."""
    prompts, answers = log_normal(count, PROMPT_MEAN, most), log_normal(count, ANSWER_MEAN, most)
    # Odd steps visit every place of a power of two once.
    return [(prompts[n * 5 % count], answers[(n * 11 + 3) % count]) for n in range(count)]
