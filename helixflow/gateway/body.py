"""The body of a request: parsed once, checked for what is wrong or not the client's to say.

Pure and synchronous. The bytes that pass here go to the engine unchanged, so nothing may pass that
the engine's parser would read differently: both take the last of repeated keys, both refuse NaN,
unpaired surrogates and what is not UTF-8. Sampling ranges are left to the engine.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from helixflow.errors import InvalidRequest, Refusal
from helixflow.gateway.body_content import check_content
from helixflow.gateway.body_faults import (
    empty,
    missing,
    not_yours,
    of_validation,
    unsupported,
    wrong_type,
    wrong_value,
)
from helixflow.gateway.body_fields import (
    HARMLESS,
    NULL,
    STEERING,
    TEMPLATE_RESERVED,
    Body,
    ChatBody,
    CompletionBody,
    Prompt,
    ResponseFormat,
    Tool,
    steering_values,
)
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.request import Operation, ParsedBody

_T = TypeVar("_T")

DEPTH_MAX = 64
TOKENS_MAX = 2**31 - 1
COMPLETION_TOKENS = 16
"""What a completion that does not say `max_tokens` may generate (OpenAI's API reference)."""

_NOTHING = (None,) * len(STEERING)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
# Possessive and with an optional end: one pass over the bytes, whatever stands in them.
_DEEP_RUN = b"[" * (DEPTH_MAX + 1)
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))

_chat = msgspec.json.Decoder(ChatBody)
_completion = msgspec.json.Decoder(CompletionBody)
_format = msgspec.json.Decoder(ResponseFormat)
_outputs = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tools = msgspec.json.Decoder(list[Tool])


def parse(operation: Operation, raw: bytes) -> ParsedBody:
    """Read a body. Raises `InvalidRequest` naming the field; its cost is linear in the bytes."""
    _check_encoding(raw)
    if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX:
        _check_depth(raw)
    try:
        if operation is Operation.CHAT:
            return _chat_body(_chat.decode(raw), len(raw))
        return _completion_body(_completion.decode(raw), len(raw))
    except msgspec.ValidationError as error:
        raise of_validation(error) from None
    except msgspec.DecodeError as error:
        said = str(error).removeprefix("JSON is malformed: ")
        raise InvalidRequest(Refusal.INVALID_JSON, f"The body is not valid JSON: {said}.") from None
    except RecursionError:  # brackets that are never closed
        raise _too_deep() from None


def check_bounds(body: ParsedBody, spec: ModelSpec) -> None:
    """Hold a body against what its model allows. Raises `InvalidRequest`."""
    if body.choices > spec.choices_max:
        raise wrong_value(
            body.choices_param,
            f"{body.choices} choices are asked for; this model gives at most {spec.choices_max}.",
        )
    if body.logprobs > spec.logprobs_max:
        raise wrong_value(
            body.logprobs_param, f"this model gives at most {spec.logprobs_max} per token."
        )
    if body.schema_bytes > spec.schema_bytes_max:
        raise wrong_value(
            body.schema_param,
            f"schemas, grammars and tools have {body.schema_bytes} bytes together; this model "
            f"takes at most {spec.schema_bytes_max}.",
        )
    if body.max_tokens is not None and 0 < spec.context_tokens < body.max_tokens:
        raise wrong_value(
            body.max_tokens_param,
            f"{body.max_tokens} is too large; this model's context holds {spec.context_tokens} "
            "tokens.",
        )


def _chat_body(body: ChatBody, size: int) -> ParsedBody:
    _check_shared(body)
    if not body.messages:
        raise missing("messages") if body.messages is None else empty("messages")
    for place, message in enumerate(body.messages):
        check_content(message, place)
    if body.chat_template_kwargs:
        for name in TEMPLATE_RESERVED & body.chat_template_kwargs.keys():
            raise not_yours(f"chat_template_kwargs.{name}")
    tokens, tokens_param = body.max_tokens, "max_tokens"
    if body.max_completion_tokens is not None:
        _check_count(body.max_completion_tokens, "max_completion_tokens")
        tokens, tokens_param = body.max_completion_tokens, "max_completion_tokens"
    logprobs, logprobs_param = _logprobs(body, body.top_logprobs, "top_logprobs")
    schema_bytes, schema_param = _schema(body)
    if body.tools != NULL:
        _decoded(_tools, body.tools, "tools")
        schema_bytes, schema_param = schema_bytes + len(body.tools), "tools"
    return ParsedBody(
        body.model or "", bool(body.stream), _count(body.n), tokens, logprobs, schema_bytes, size,
        "n", tokens_param, logprobs_param, schema_param, body.service_tier or "",
    )  # fmt: skip


def _completion_body(body: CompletionBody, size: int) -> ParsedBody:
    _check_shared(body)
    prompts = _prompts(body.prompt)
    logprobs, logprobs_param = _logprobs(body, body.logprobs, "logprobs")
    schema_bytes, schema_param = _schema(body)
    tokens = COMPLETION_TOKENS if body.max_tokens is None else body.max_tokens
    return ParsedBody(
        body.model or "", bool(body.stream), _count(body.n) * prompts, tokens, logprobs,
        schema_bytes, size, "prompt" if prompts > 1 else "n", "max_tokens", logprobs_param,
        schema_param, body.service_tier or "",
    )  # fmt: skip


def _check_shared(body: Body) -> None:
    if steering_values(body) != _NOTHING:
        _check_steering(body)
    if body.model is None:
        raise missing("model")
    if body.n is not None:
        _check_count(body.n, "n")
    if body.max_tokens is not None:
        _check_count(body.max_tokens, "max_tokens", 0 if body.echo else 1)
    if body.best_of is not None and body.best_of != _count(body.n):
        raise unsupported("best_of", "best_of is not supported; ask for `n` choices.")


def _check_steering(body: Body) -> None:
    for name in STEERING:
        value = getattr(body, name)
        if value is None or (name in HARMLESS and value is HARMLESS[name]):
            continue
        if name.startswith("guided_"):
            raise unsupported(name, f"{name} is not supported; use response_format.")
        raise not_yours(name)


def _prompts(prompt: Prompt | None) -> int:
    """How many prompts: a text or token ids are one, a list of either is several."""
    if prompt is None:
        raise missing("prompt")
    if not prompt:
        raise empty("prompt")
    if isinstance(prompt, str):
        return 1
    kinds = {item.__class__ for item in prompt}
    if len(kinds) > 1:
        raise wrong_type("prompt", "expected texts or token ids, but got both.")
    return 1 if int in kinds else len(prompt)


def _logprobs(body: Body, value: int | None, param: str) -> tuple[int, str]:
    """The most log probabilities per token, and the field that asks for them."""
    most = value or 0
    if most < 0:
        raise wrong_value(param, "it must not be negative.")
    if body.prompt_logprobs is not None:
        if body.prompt_logprobs < 0:
            raise wrong_value("prompt_logprobs", "it must not be negative.")
        if body.prompt_logprobs > most:
            most, param = body.prompt_logprobs, "prompt_logprobs"
    if body.logprob_token_ids is not None and len(body.logprob_token_ids) > most:
        most, param = len(body.logprob_token_ids), "logprob_token_ids"
    return most, param


def _schema(body: Body) -> tuple[int, str]:
    """Bytes of what constrains the answer, and the field that holds them."""
    size, param = 0, "response_format"
    if body.response_format != NULL:
        wanted = _decoded(_format, body.response_format, "response_format")
        if wanted.type == "json_schema" and wanted.json_schema is None:
            raise missing("response_format.json_schema")
        size = len(body.response_format)
    if body.structured_outputs != NULL:
        _decoded(_outputs, body.structured_outputs, "structured_outputs")
        size, param = size + len(body.structured_outputs), "structured_outputs"
    return size, param


def _decoded(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw, param: str) -> _T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise of_validation(error, param) from None


def _check_count(value: int, param: str, least: int = 1) -> None:
    if value < least:
        raise wrong_value(param, f"expected at least {least}, but got {str(value)[:32]} instead.")
    if value > TOKENS_MAX:
        raise wrong_value(param, f"expected at most {TOKENS_MAX}.")


def _count(n: int | None) -> int:
    return 1 if n is None else n


def _check_encoding(raw: bytes) -> None:
    if raw.isascii():
        return
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            Refusal.INVALID_ENCODING, f"The body is not valid UTF-8 (byte {error.start})."
        ) from None


def _check_depth(raw: bytes) -> None:
    """Raises where brackets are nested deeper than `DEPTH_MAX`.

    Works on whole strings of bytes: what is quoted goes, then each pass takes the innermost pairs.
    Brackets that do not match are left over as well, and are the decoder's to report.
    """
    brackets = _STRING.sub(b"", raw).translate(_SQUARE, _NOT_BRACKETS)
    if _DEEP_RUN in brackets:
        raise _too_deep()
    for _ in range(DEPTH_MAX):
        left = brackets.replace(b"[]", b"")
        if len(left) in (0, len(brackets)):
            return
        brackets = left
    raise _too_deep()


def _too_deep() -> InvalidRequest:
    return InvalidRequest(
        Refusal.INVALID_JSON, f"The body is nested deeper than {DEPTH_MAX} levels."
    )
