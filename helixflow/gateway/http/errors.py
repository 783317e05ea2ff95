"""The one place that gives a refusal its HTTP form: status, headers, OpenAI's body."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from helixflow.api.error_body import error_body
from helixflow.errors import Refusal, Refused
from helixflow.ids import RequestId
from helixflow.limits.headers import breach_headers

_log = logging.getLogger(__name__)

Headers: TypeAlias = list[tuple[bytes, bytes]]

STATUS: Mapping[Refusal, int] = MappingProxyType(
    {
        Refusal.AUTH_UNAVAILABLE: 503,
        Refusal.BODY_TOO_LARGE: 413,
        Refusal.CONFLICT: 409,
        Refusal.CONTEXT_LENGTH_EXCEEDED: 400,
        Refusal.DEADLINE_EXCEEDED: 504,
        Refusal.ENGINE_DIED: 503,
        Refusal.EXPIRED_API_KEY: 401,
        Refusal.INTERNAL_ERROR: 500,
        Refusal.INVALID_API_KEY: 401,
        Refusal.INVALID_ENCODING: 400,
        Refusal.INVALID_JSON: 400,
        Refusal.INVALID_TYPE: 400,
        Refusal.INVALID_VALUE: 400,
        Refusal.LIMITS_UNAVAILABLE: 503,
        Refusal.METHOD_NOT_ALLOWED: 405,
        Refusal.MISSING_API_KEY: 401,
        Refusal.MISSING_PARAMETER: 400,
        Refusal.MODEL_FAILED: 503,
        Refusal.MODEL_LOADING: 503,
        Refusal.MODEL_NOT_FOUND: 404,
        Refusal.OVERLOADED: 503,
        Refusal.PERMISSION_DENIED: 403,
        Refusal.PRECONDITION_FAILED: 412,
        Refusal.QUEUE_FULL: 429,
        Refusal.RATE_LIMIT_EXCEEDED: 429,
        Refusal.REGISTRY_UNAVAILABLE: 503,
        Refusal.RESOURCE_NOT_FOUND: 404,
        Refusal.ROUTE_NOT_FOUND: 404,
        Refusal.SLOW_READER: 503,
        Refusal.TELEMETRY_UNAVAILABLE: 503,
        Refusal.UNSUPPORTED_PARAMETER: 400,
    }
)

_RETRY_AFTER_S = 1.0
_HOPELESS = frozenset({Refusal.MODEL_FAILED})
"""Unavailable, but not for a while only: the same request will not succeed by waiting."""


def answer_of(refused: Refused) -> tuple[int, Headers, bytes]:
    """Status, headers and body.

    Every 429 and 503 that waiting may mend says how long to wait, and a limit what is left of it.
    """
    status = STATUS[refused.reason]
    body = error_body(refused)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="helixflow"'))
    wait_s = refused.retry_after_s
    if wait_s is None and status in (429, 503) and refused.reason not in _HOPELESS:
        wait_s = _RETRY_AFTER_S
    if wait_s is not None:
        # The header takes whole seconds; OpenAI's clients read the finer one first.
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait_s))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(wait_s * 1000))))
    if refused.breach is not None:
        headers += breach_headers(refused.breach)
    return status, headers, body


def internal_error(error: Exception, request_id: RequestId) -> Refused:
    """Log a fault of ours; what the client gets of it is the request id alone."""
    _log.error("request %s failed", request_id, exc_info=error)
    return Refused(
        Refusal.INTERNAL_ERROR,
        f"The server had an error while processing your request ({request_id}).",
    )
