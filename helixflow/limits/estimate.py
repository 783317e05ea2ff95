"""What a request will use, before anybody knows: from its bytes and from what was seen before.

Prompt tokens come from the body's size and the model's bytes per token, as seen so far. Answers are
taken to be as long as this key's (else this project's, else the model's) usually are: the mean and
twice the mean deviation, both of them moving. Neither is ever above what the client allows. Where it does
not say, one request takes at most an eighth of a limit for its answer, never the whole of it.

A hard limit is never passed: it takes the longest answer that is allowed, and one token for each byte
of the body, because no token is made of less.

Pure and bounded: what was not used for the longest is forgotten first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from helixflow.errors import InvalidRequest, Refusal
from helixflow.inference.model_spec import ModelSpec, Price
from helixflow.inference.principal import Principal
from helixflow.inference.request import ParsedBody
from helixflow.inference.usage import Usage

_K = TypeVar("_K")

_BYTES_PER_TOKEN = 4.0
_ANSWER_TOKENS = 256.0
_TEMPLATE_TOKENS = 64
_MEMORY = 0.05
_KNOWN_FROM = 4
_OUTPUT_SHARE = 8

_NANO_PER_TOKEN = 1_000.0
"""Billionths of a dollar per token, for one dollar per million tokens."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request is expected to take, over all its choices.

    Attributes:
        prompt: tokens of the prompt.
        output: tokens of the answer.
        bounded: whether the client said how long the answer may be.
        hard: whether it is the most that can be, and all of it must be there.
    """

    prompt: int
    output: int
    bounded: bool
    hard: bool = False

    @property
    def free_to(self) -> int:
        """From this limit of tokens on, it takes all that it is expected to."""
        output = self.output
        return self.prompt + output if self.bounded else output * _OUTPUT_SHARE

    def tokens(self, limit: int) -> int:
        """What it takes of a limit of tokens; of the answer never more than can be had at all."""
        return self.part(limit, self.prompt, self.output)

    def cost(self, price: Price, limit: int) -> int:
        """What it takes of a limit of spend; both in billionths of a dollar."""
        return self.part(limit, *self.costs(price))

    def costs(self, price: Price) -> tuple[int, int]:
        """What its prompt and its answer are expected to cost, in billionths of a dollar."""
        return _cost(self.prompt * price.input_usd), _cost(self.output * price.output_usd)

    def part(self, limit: int, prompt: int, output: int) -> int:
        """What it takes of a limit that counts `prompt` and `output` for it."""
        if self.hard:
            return prompt + output
        most = limit - prompt if self.bounded else _share(limit)
        return prompt + max(0, min(output, most))


def _share(limit: int) -> int:
    return max(1, limit // _OUTPUT_SHARE)


def cost(price: Price, usage: Usage) -> int:
    """What tokens cost, in billionths of a dollar, rounded up."""
    fresh = usage.prompt_tokens - usage.cached_tokens
    usd = (
        fresh * price.input_usd
        + usage.cached_tokens * price.cached_input_usd
        + usage.completion_tokens * price.output_usd
    )
    return _cost(usd)


def _cost(usd_per_million: float) -> int:
    return math.ceil(usd_per_million * _NANO_PER_TOKEN)


def most(spec: ModelSpec, body: ParsedBody) -> Estimate:
    """The most that a request can take, for a hard limit.

    Raises `InvalidRequest` where nobody can say, because neither the request nor the model has a
    bound on the answer.
    """
    prompt = body.prompt_bytes + _TEMPLATE_TOKENS
    per_choice = body.max_tokens
    if spec.context_tokens:
        prompt = min(prompt, spec.context_tokens)
        per_choice = min(
            spec.context_tokens if per_choice is None else per_choice, spec.context_tokens
        )
    if per_choice is None:
        raise InvalidRequest(
            Refusal.MISSING_PARAMETER,
            "Your limit is hard and this model's answers have no bound: say how long the answer "
            f"may be ('{body.max_tokens_param}').",
            param=body.max_tokens_param,
        )
    return Estimate(prompt, per_choice * body.choices, bounded=True, hard=True)


class _Lengths:
    """The mean of what was seen, and its mean deviation; recent ones weigh more."""

    __slots__ = ("deviation", "mean", "seen")

    def __init__(self) -> None:
        self.mean = 0.0
        self.deviation = 0.0
        self.seen = 0

    def learn(self, length: float) -> None:
        self.seen += 1
        weight = max(_MEMORY, 1 / self.seen)
        off = abs(length - self.mean) if self.seen > 1 else 0.0
        self.mean += weight * (length - self.mean)
        self.deviation += weight * (off - self.deviation)

    @property
    def usual_most(self) -> float:
        return self.mean + 2 * self.deviation


class Estimator:
    """What was seen so far: bytes per token of each model, lengths of answers of each caller.

    `owners_max` bounds for how many callers, and models, something is known.
    """

    def __init__(self, owners_max: int = 50_000) -> None:
        self._owners_max = owners_max
        self._answers: OrderedDict[tuple[str, str], _Lengths] = OrderedDict()
        self._tokens_per_byte: OrderedDict[str, _Lengths] = OrderedDict()

    def estimate(self, principal: Principal, spec: ModelSpec, body: ParsedBody) -> Estimate:
        """What a request will probably take."""
        rate = self._tokens_per_byte.get(spec.name)
        per_byte = rate.mean if rate else 1 / _BYTES_PER_TOKEN
        answer = self._answer(principal, spec.name)
        most = body.max_tokens
        if most is not None and most < answer:
            answer = most
        if 0 < spec.context_tokens < answer:
            answer = spec.context_tokens
        return Estimate(
            int(body.prompt_bytes * per_byte) + 1, int(answer) * body.choices, most is not None
        )

    def learn(
        self, principal: Principal, model: str, prompt_bytes: int, choices: int, usage: Usage
    ) -> None:
        """A request used that."""
        if prompt_bytes > 0 and usage.prompt_tokens > 0:
            rate = _kept(self._tokens_per_byte, model, self._owners_max)
            rate.learn(usage.prompt_tokens / prompt_bytes)
        length = usage.completion_tokens / max(1, choices)
        for owner in (principal.key, principal.project, ""):
            _kept(self._answers, (model, owner), self._owners_max).learn(length)

    def _answer(self, principal: Principal, model: str) -> float:
        for owner in (principal.key, principal.project, ""):
            lengths = self._answers.get((model, owner))
            if lengths is not None and lengths.seen >= _KNOWN_FROM:
                return max(1.0, lengths.usual_most)
        return _ANSWER_TOKENS


def _kept(known: OrderedDict[_K, _Lengths], key: _K, most: int) -> _Lengths:
    """What is known for a key, from here on the last to be forgotten."""
    lengths = known.get(key)
    if lengths is None:
        while len(known) >= most:
            known.popitem(last=False)
        lengths = known[key] = _Lengths()
    else:
        known.move_to_end(key)
    return lengths
