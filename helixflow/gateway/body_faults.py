"""From what msgspec says about a body to a refusal with OpenAI's `param` notation."""

from __future__ import annotations

import re

import msgspec

from helixflow.errors import InvalidRequest, Refusal

_PLACE = re.compile(r"^(?P<said>.*?)(?: - at `(?:key` in `)?\$\.?(?P<place>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `([^`]+)`")
_EXPECTED = re.compile(r"^Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`$")
_UNKNOWN = re.compile(r"^Invalid enum value (.*)$", re.DOTALL)
_WORDS = {
    "array": "an array",
    "bool": "a boolean",
    "float": "a number",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
}


def missing(param: str) -> InvalidRequest:
    """A required field is not there."""
    return InvalidRequest(
        Refusal.MISSING_PARAMETER, f"Missing required parameter: {param!r}.", param=param
    )


def wrong_value(param: str, message: str) -> InvalidRequest:
    """A field has a value that it cannot have."""
    return InvalidRequest(
        Refusal.INVALID_VALUE, f"Invalid value for {param!r}: {message}", param=param
    )


def wrong_type(param: str, message: str) -> InvalidRequest:
    """A field has a type that it cannot have."""
    return InvalidRequest(
        Refusal.INVALID_TYPE, f"Invalid type for {param!r}: {message}", param=param
    )


def unsupported(param: str, message: str) -> InvalidRequest:
    """A field that a client must not set, or that this platform does not have."""
    return InvalidRequest(Refusal.UNSUPPORTED_PARAMETER, message, param=param)


def not_yours(param: str) -> InvalidRequest:
    """A field by which a client would steer what only the platform decides."""
    return unsupported(param, f"The parameter {param!r} cannot be set by a client.")


def empty(param: str) -> InvalidRequest:
    """A list or text that must hold something."""
    return wrong_value(param, "it must not be empty.")


def of_validation(error: msgspec.ValidationError, inside: str = "") -> InvalidRequest:
    """The refusal for a field of the wrong type or value; `inside` is where decoding began."""
    found = _PLACE.match(str(error))
    said, place = (found["said"], found["place"] or "") if found else (str(error), "")
    param = _joined(inside, place.replace("[...]", ""))
    if lacking := _MISSING.search(said):
        return missing(_joined(param, lacking[1]))
    if wrong := _EXPECTED.match(said):
        sentence = f"expected {_word(wrong['expected'])}, but got {_word(wrong['got'])} instead."
        if not param:
            return InvalidRequest(Refusal.INVALID_TYPE, f"Invalid body: {sentence}")
        return wrong_type(param, sentence)
    if unknown := _UNKNOWN.match(said):
        return wrong_value(param, f"{unknown[1]} is not one of the supported values.")
    return wrong_value(param, f"{said}.")


def _joined(outer: str, inner: str) -> str:
    between = "." if outer and inner and not inner.startswith("[") else ""
    return f"{outer}{between}{inner}"


def _word(types: str) -> str:
    names = [name for name in types.split(" | ") if name != "null"] or ["null"]
    return " or ".join(_WORDS.get(name, name) for name in names)
