"""How the HTTP face describes itself in OpenAPI: errors, headers, streams, who may call what."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from helixflow.api.auth import RevocationRequest, TokenRequest
from helixflow.api.chat import ChatCompletionChunk
from helixflow.api.completion import CompletionChunk
from helixflow.api.error_body import error_body
from helixflow.api.errors import ErrorBody
from helixflow.errors import Breach, Refusal, Refused
from helixflow.gateway.http.errors import STATUS
from helixflow.gateway.http.permissions import OPEN_ROUTES, OWN_ROUTES, ROUTE_PERMISSIONS

_REFERENCE = "#/components/schemas/{model}"
_SECURITY = "apiKey"
_WRITTEN = (ChatCompletionChunk, CompletionChunk, ErrorBody)
"""Answers that are written by hand."""
_FORMS = (RevocationRequest, TokenRequest)
"""Bodies that are read by hand, because they come as forms too."""
_SUMMARY = (
    "A self-hosted inference platform that speaks OpenAI's API. Point an OpenAI client at this "
    "server's `/v1` and give it a HelixFlow key."
)
_PHRASES = {
    400: "The request must be changed.",
    401: "No credential, or one that is not valid.",
    403: "The credential may not do this.",
    404: "Nothing of that name exists for this caller.",
    409: "It does not go with what is there already.",
    412: "It was changed meanwhile.",
    413: "The body is over the size limit; it is not read any further.",
    429: "A limit of the caller is used up.",
    500: "A fault of the server's.",
    503: "Not now: the model is loading, the queue is full or a part is away.",
    504: "The request took longer than its deadline.",
}


CLOSED = (
    Refusal.MISSING_API_KEY, Refusal.INVALID_API_KEY, Refusal.EXPIRED_API_KEY,
    Refusal.PERMISSION_DENIED, Refusal.AUTH_UNAVAILABLE, Refusal.INTERNAL_ERROR,
)  # fmt: skip
"""Why any route that is not open may refuse."""


def schema_of(model: str) -> dict[str, str]:
    """A reference to a wire model."""
    return {"$ref": _REFERENCE.format(model=model)}


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


REQUEST_ID_HEADER = {
    "x-request-id": _header("The platform's id of this request.", "req_0f8fad5bd9cb469fa165"),
}
_RATE_LIMIT_HEADERS = {
    f"x-ratelimit-{what}-{unit}": _header(text.format(unit=unit), example)
    for what, text, example in (
        ("limit", "How many {unit} the caller has per window, where that is limited.", "600"),
        ("remaining", "How many {unit} are left in it.", "599"),
        ("reset", "How long until all {unit} are back.", "6m0s"),
    )
    for unit in ("requests", "tokens")
}
ANSWER_HEADERS = {**REQUEST_ID_HEADER, **_RATE_LIMIT_HEADERS}
_RETRY_HEADERS = {
    "retry-after": _header("Seconds after which to try again.", "1"),
    "retry-after-ms": _header("The same in milliseconds.", "1000"),
}


_BREACH = Breach("requests_per_minute", "key=key_6b1f", 600.0, 600.0, 12.5)


def refusals(*reasons: Refusal) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may be refused for these reasons."""
    by_status: dict[int, list[str]] = {}
    for reason in reasons:
        by_status.setdefault(STATUS[reason], []).append(reason.value)
    return {status: _refusal(status, codes) for status, codes in sorted(by_status.items())}


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    headers = dict(REQUEST_ID_HEADER)
    if status in (429, 503):
        headers |= _RETRY_HEADERS
    if status == 429:
        headers |= _RATE_LIMIT_HEADERS
    named = ", ".join(f"`{code}`" for code in codes)
    limited = Refusal.RATE_LIMIT_EXCEEDED in codes
    breach = (_BREACH.to_wire(),) if limited else ()
    code = Refusal.RATE_LIMIT_EXCEEDED.value if limited else codes[0]
    example = Refused.from_wire((code, "One sentence for a person.", None, None, *breach))
    return {
        "description": f"{_PHRASES[status]} `code` is one of {named}.",
        "headers": headers,
        # Told by reference: FastAPI would build a validator for each route's every status.
        "content": {
            "application/json": {
                "schema": schema_of(ErrorBody.__name__),
                "example": msgspec.json.decode(error_body(example)),
            }
        },
    }


class Description:
    """The description of an app as JSON, made once."""

    def __init__(self) -> None:
        self._json: bytes | None = None

    def of(self, app: FastAPI) -> bytes:
        """The bytes of `/openapi.json`."""
        if self._json is None:
            self._json = msgspec.json.encode(describe(app))
        return self._json


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole description (OpenAPI 3.1)."""
    tree = get_openapi(
        title=app.title, version=app.version, description=_SUMMARY, routes=app.routes
    )
    components: dict[str, Any] = tree.setdefault("components", {})
    _, more = models_json_schema(
        [
            *((model, "serialization") for model in _WRITTEN),
            *((model, "validation") for model in _FORMS),
        ],
        ref_template=_REFERENCE,
    )
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    schemas.update(more["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        _SECURITY: {"type": "http", "scheme": "bearer", "description": "A HelixFlow API key."}
    }
    for path, operations in tree["paths"].items():
        for method, operation in operations.items():
            _finish(operation, method.upper(), path)
    return tree


def _finish(operation: dict[str, Any], method: str, path: str) -> None:
    """Errors are OpenAI's, never FastAPI's 422; closed routes say what they ask for."""
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)
    for response in responses.values():
        response.setdefault("headers", REQUEST_ID_HEADER)
    if path in OPEN_ROUTES:
        return
    operation["security"] = [{_SECURITY: []}]
    if (method, path) in OWN_ROUTES:
        needs = "Needs no permission: it is about the caller alone."
    else:
        needs = f"Needs the permission `{_PERMISSIONS.get((method, path), 'none has')}`."
    operation["description"] = f"{operation.get('description', '')}\n\n{needs}"


_PERMISSIONS = {
    (method, path.replace(":path}", "}")): permission.value
    for (method, path), permission in ROUTE_PERMISSIONS.items()
}
