"""The proof that a stack works: one real answer, streamed, and how fast it came."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from helixflow.cli.gateway_api import GatewayApi, Measured

QUESTION = "What is the capital of France?"
_TOKENS_MAX = 48
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """An answer and its measures.

    Attributes:
        model: who answered.
        text: what.
        measured: how fast.
        at_s: the monotonic clock at the first token.
    """

    model: str
    text: str
    measured: Measured
    at_s: float


def ask(gateway: GatewayApi, model: str, show: Callable[[str], None]) -> FirstAnswer:
    """Ask `QUESTION`, showing the text as it comes. Raises CommandFailed where nothing comes."""
    began = time.monotonic()
    messages = [{"role": "user", "content": QUESTION}]
    stream = gateway.chat(
        model, messages, tokens_max=_TOKENS_MAX, timeout_s=_TIMEOUT_S, temperature=0.0
    )
    text = ""
    for piece in stream:
        text += piece
        show(" ".join(text.split()))
    measured = stream.measured
    return FirstAnswer(model, text, measured, began + (measured.first_token_s or 0.0))
