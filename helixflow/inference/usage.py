"""What a request used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, over all its choices.

    Attributes:
        prompt_tokens: tokens read, cached ones included.
        completion_tokens: tokens generated, those that no client received included.
        cached_tokens: the part of `prompt_tokens` that came from the prefix cache.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens
