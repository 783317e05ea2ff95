"""The part of a request body that every engine checks alike, and how a bad one is refused.

Only the fields below are checked here; whatever else a body holds passes through to the engine. The
limits are OpenAI's (https://platform.openai.com/docs/api-reference/chat/create).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from helixflow.errors import InvalidRequest, Refusal
from helixflow.inference.request import EngineRequest, Operation

_Positive: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
_Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool", "function"]
Prompt: TypeAlias = str | Annotated[list[str | int | list[int]], Meta(min_length=1)]


class StreamOptions(Struct):
    """`stream_options`."""

    include_usage: bool | None = None


class Sampling(Struct):
    """What both operations take."""

    max_tokens: _Positive | None = None
    n: _Positive | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    seed: int | None = None
    stop: str | list[str] | None = None


class Part(Struct):
    """A part of a message's content."""

    type: str
    text: str = ""


class Message(Struct):
    """One message of a chat."""

    role: _Role
    content: str | list[Part] | None = None


class ChatBody(Sampling, kw_only=True):
    """A chat."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: _Positive | None = None


class CompletionBody(Sampling, kw_only=True):
    """A completion: a text, token ids, or a list of either."""

    prompt: Prompt


_chat = msgspec.json.Decoder(ChatBody)
_completion = msgspec.json.Decoder(CompletionBody)
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


def read_body(request: EngineRequest) -> ChatBody | CompletionBody:
    """Read and check a body. Raises `InvalidRequest`, naming the field in OpenAI's notation."""
    decoder = _chat if request.operation is Operation.CHAT else _completion
    try:
        return decoder.decode(request.body)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest(Refusal.INVALID_JSON, "The body is not valid JSON.") from None


def _refused(text: str) -> InvalidRequest:
    """Turn msgspec's sentence (``Expected `int`, got `str` - at `$.n` ``) into a refusal."""
    found = _PLACE.search(text)
    place = found.group(1) if found else ""
    said = _PLACE.sub("", text)
    if missing := _MISSING.search(said):
        param = f"{place}.{missing.group(1)}" if place else missing.group(1)
        return InvalidRequest(
            Refusal.MISSING_PARAMETER, f"Missing required parameter: '{param}'.", param=param
        )
    wrong_type = ", got " in said
    reason = Refusal.INVALID_TYPE if wrong_type else Refusal.INVALID_VALUE
    what = "type" if wrong_type else "value"
    where = f" for '{place}'" if place else ""
    return InvalidRequest(reason, f"Invalid {what}{where}: {said}.", param=place or None)
