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
    """`{"error": {"message", "type", "param", "code"}}` as JSON bytes; `code` is the reason."""
    try:
        return _encode(refused, refused.message, refused.param)
    except UnicodeEncodeError:  # an unpaired surrogate, out of something that a client sent
        return _encode(refused, _mended(refused.message), _mended(refused.param or "") or None)


def _encode(refused: Refused, message: str, param: str | None) -> bytes:
    return _encoder.encode(
        {
            "error": {
                "message": message,
                "type": _TYPES.get(type(refused), "server_error"),
                "param": param,
                "code": refused.reason.value,
            }
        }
    )


def _mended(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
