"""What OAuth's endpoints are asked: a form, as RFC 6749 has it, or a JSON object."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote_plus

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from helixflow.api.administration import Asked
from helixflow.api.auth import TOKEN_LENGTH_MAX, TokenRequest
from helixflow.errors import InvalidRequest, Refusal, TooLarge, Unauthenticated

T = TypeVar("T", bound=Asked)

BODY_BYTES_MAX = 64 * 1024
_FIELDS_MAX = 32
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


async def asked(request: Request, model: type[T]) -> T:
    """The request's body as a model. Raises `InvalidRequest` or `TooLarge`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        data = await _body(request)
        if kind == _FORM:
            fields = _form(data)
        elif kind == _JSON:
            fields = json.loads(data)
        else:
            raise _invalid(f"The body must be {_FORM} or {_JSON}.")
        return model.model_validate(fields)
    except ClientDisconnect:
        raise _invalid("The body broke off.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])[:64]
        raise _invalid(f"{where}: {fault['msg']}.") from None
    except (ValueError, RecursionError):
        raise _invalid("The body is malformed.") from None


def basic_client(request: Request, told: TokenRequest) -> dict[str, str]:
    """The client that `Authorization: Basic` names (RFC 6749, 2.3.1); nothing without one."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    if told.client_id or told.client_secret:
        raise _invalid("The client says who it is in one way, not in two.")
    try:
        plain = base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise _unknown_client() from None
    name, colon, secret = plain.partition(":")
    if not colon or len(plain) > TOKEN_LENGTH_MAX:
        raise _unknown_client()
    return {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > BODY_BYTES_MAX:
            raise TooLarge(
                Refusal.BODY_TOO_LARGE, f"The body is larger than {BODY_BYTES_MAX} bytes."
            )
    return bytes(data)


def _form(data: bytes) -> dict[str, Any]:
    """The fields; none may come twice (RFC 6749, 3.2). Empty ones count as left out (3.1)."""
    pairs = parse_qsl(
        data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX
    )
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _invalid("A field comes twice.")
    return {name: value for name, value in fields.items() if value}


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(Refusal.INVALID_VALUE, message)


def _unknown_client() -> Unauthenticated:
    return Unauthenticated(Refusal.INVALID_API_KEY, "The client is malformed.")
