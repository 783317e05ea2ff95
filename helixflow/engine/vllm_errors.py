"""vLLM's errors as refusals. Imports vLLM.

Messages are cleaned of paths and addresses by vLLM's own filter before anyone outside sees them.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError
from vllm.entrypoints.serve.engine.protocol import ErrorInfo
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response
from vllm.exceptions import VLLMValidationError
from vllm.v1.engine.exceptions import EngineDeadError

from helixflow.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    Refusal,
    Refused,
    TooLarge,
    Unavailable,
)
from helixflow.inference.request import Operation

DIED_RETRY_AFTER_S = 5.0
_BUSY_RETRY_AFTER_S = 1.0
_TOO_LONG = re.compile(r"maximum (context|model) length|exceeds model's maximum", re.IGNORECASE)
_WRONG_TYPE = re.compile(r"_(type|parsing)$")


def died() -> Unavailable:
    """The engine's process is gone."""
    return Unavailable(
        Refusal.ENGINE_DIED, "The model's engine died.", retry_after_s=DIED_RETRY_AFTER_S
    )


def refusal_of(error: BaseException, operation: Operation) -> Refused:
    """The refusal that an exception of vLLM stands for."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, EngineDeadError):
        return died()
    if isinstance(error, ValidationError):
        return _of_validation(error)
    if not isinstance(error, Exception):
        return Refused(Refusal.INTERNAL_ERROR, "The engine failed.")
    info = create_error_response(error).error
    if isinstance(error, VLLMValidationError):
        info.message = str(error.args[0])
    return refusal_of_info(info, operation)


def refusal_of_info(info: ErrorInfo, operation: Operation) -> Refused:
    """The refusal that an error body of vLLM stands for."""
    if info.code == 404:
        return NotFound(Refusal.RESOURCE_NOT_FOUND, info.message)
    if info.code == 503:
        return Overloaded(Refusal.OVERLOADED, info.message, retry_after_s=_BUSY_RETRY_AFTER_S)
    if info.code >= 500:
        return Refused(Refusal.INTERNAL_ERROR, "The engine failed.")
    if _TOO_LONG.search(info.message):
        place = "messages" if operation is Operation.CHAT else "prompt"
        return TooLarge(Refusal.CONTEXT_LENGTH_EXCEEDED, info.message, param=place)
    return InvalidRequest(Refusal.INVALID_VALUE, info.message, param=info.param or None)


def _of_validation(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_input=False)[0]
    param = param_of(first["loc"]) or None
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "missing":
        text = f"Missing required parameter: '{param}'."
        return InvalidRequest(Refusal.MISSING_PARAMETER, text, param=param)
    wrong_type = _WRONG_TYPE.search(first["type"]) is not None
    reason = Refusal.INVALID_TYPE if wrong_type else Refusal.INVALID_VALUE
    where = f" for '{param}'" if param else ""
    what = "type" if wrong_type else "value"
    return InvalidRequest(reason, f"Invalid {what}{where}: {message}.", param=param)


def param_of(place: tuple[Any, ...]) -> str:
    """Pydantic's place in OpenAI's notation: `("tools", 0, "type")` is `tools[0].type`.

    Names of union members and validators (`function-wrap[...]`, `ChatCompletionUserMessageParam`,
    `str`) are not places in the body and are left out.
    """
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif re.fullmatch(r"[a-z][a-z0-9_]*", part) and part not in _TYPE_NAMES:
            path += f".{part}" if path else part
    return path


_TYPE_NAMES = frozenset({"bool", "dict", "float", "int", "list", "none", "str", "tuple"})
