"""OpenAI's error body, the only form in which a refusal reaches a client."""

from __future__ import annotations

import msgspec

from helixflow.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    PreconditionFailed,
    QuotaExceeded,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

_TYPES: dict[type[Refused], str] = {
    Conflict: "invalid_request_error",
    DeadlineExceeded: "timeout_error",
    Forbidden: "permission_error",
    InvalidRequest: "invalid_request_error",
    NotFound: "invalid_request_error",
    Overloaded: "overloaded_error",
    PreconditionFailed: "invalid_request_error",
    QuotaExceeded: "rate_limit_error",
    TooLarge: "invalid_request_error",
    Unauthenticated: "authentication_error",
    Unavailable: "service_unavailable_error",
}

_encoder = msgspec.json.Encoder()


def error_body(refused: Refused) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}` as JSON bytes; `code` is the reason.

    Where the reason is a limit, it has a fifth field, `limit`, with the facts of the breach.
    """
    try:
        return _encode(refused, refused.message, refused.param)
    except UnicodeEncodeError:  # an unpaired surrogate, out of something that a client sent
        return _encode(refused, _mended(refused.message), _mended(refused.param or "") or None)


def _encode(refused: Refused, message: str, param: str | None) -> bytes:
    error: dict[str, object] = {
        "message": message,
        "type": _TYPES.get(type(refused), "server_error"),
        "param": param,
        "code": refused.reason.value,
    }
    breach = refused.breach
    if breach is not None:
        error["limit"] = {
            "name": breach.name,
            "scope": breach.scope,
            "limit": breach.limit,
            "current": breach.current,
            "reset_seconds": breach.reset_s,
        }
    return _encoder.encode({"error": error})


def _mended(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
