"""What the echo engine makes of a request body: whose words to say again, and how many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from helixflow.engine.body import ChatBody, Part, Prompt, Sampling, read_body
from helixflow.errors import InvalidRequest, Refusal, TooLarge
from helixflow.inference.request import EngineRequest


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be echoed.

    Attributes:
        prompts: for each prompt the words to echo; never empty lists.
        prompt_tokens: words read, over all prompts.
        choices: answers per prompt.
        max_tokens: words per answer, or None.
        include_usage: whether a stream ends with a usage chunk.
    """

    prompts: list[list[str]]
    prompt_tokens: int
    choices: int
    max_tokens: int | None
    include_usage: bool

    @property
    def answers(self) -> int:
        """Choices over all prompts."""
        return self.choices * len(self.prompts)


def read_ask(request: EngineRequest, context_tokens: int) -> Ask:
    """Read a body. Raises `InvalidRequest` or `TooLarge`, naming the field in OpenAI's notation."""
    body = read_body(request)
    if isinstance(body, ChatBody):
        spoken = [_words(message.content) for message in body.messages]
        max_tokens = body.max_completion_tokens or body.max_tokens
        return _ask(body, max_tokens, spoken[-1:], spoken, "messages", context_tokens)
    prompts = _prompts(body.prompt)
    return _ask(body, body.max_tokens, prompts, prompts, "prompt", context_tokens)


def _words(content: str | list[Part] | None) -> list[str]:
    if isinstance(content, str):
        return content.split()
    return list(chain.from_iterable(part.text.split() for part in content or ()))


def _prompts(prompt: Prompt) -> list[list[str]]:
    if isinstance(prompt, str):
        return [prompt.split()]
    if all(isinstance(item, int) for item in prompt):
        return [[str(item) for item in prompt]]
    return [_prompt(item) for item in prompt]


def _prompt(item: str | int | list[int]) -> list[str]:
    if isinstance(item, int):
        raise InvalidRequest(
            Refusal.INVALID_TYPE, "A prompt mixes token ids and texts.", param="prompt"
        )
    return item.split() if isinstance(item, str) else [str(token) for token in item]


def _ask(
    body: Sampling,
    max_tokens: int | None,
    echoed: list[list[str]],
    read: Iterable[list[str]],
    param: str,
    context_tokens: int,
) -> Ask:
    """Check the length: all the words that are read, and the answer, share the context."""
    prompt_tokens = sum(map(len, read))
    if (max_tokens or 1) > context_tokens:
        raise InvalidRequest(
            Refusal.INVALID_VALUE,
            f"max_tokens is {max_tokens}, and the context is {context_tokens} tokens.",
            param="max_tokens",
        )
    if prompt_tokens + (max_tokens or 1) > context_tokens:
        raise TooLarge(
            Refusal.CONTEXT_LENGTH_EXCEEDED,
            f"This model's maximum context length is {context_tokens} tokens, but the request "
            f"has {prompt_tokens} in its {param} and asks for {max_tokens or 1}.",
            param=param,
        )
    return Ask(
        [words or ["echo"] for words in echoed],
        prompt_tokens,
        body.n or 1,
        max_tokens,
        bool(body.stream_options and body.stream_options.include_usage),
    )
