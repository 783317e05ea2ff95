"""Access tokens: granted and revoked (RFC 6749, RFC 7009); invitations accepted. Open routes.

Failure behavior: what is wrong with a request for a token is said in OAuth's form (400, 401);
everything else, Auth being away included, in OpenAI's.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from helixflow.api.auth import (
    Accepted,
    AcceptRequest,
    OAuthError,
    RevocationRequest,
    Revoked,
    TokenAnswer,
    TokenRequest,
)
from helixflow.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refusal,
    Refused,
    Unauthenticated,
)
from helixflow.gateway.http.oauth_form import asked, basic_client
from helixflow.gateway.http.openapi import REQUEST_ID_HEADER, refusals, schema_of
from helixflow.gateway.http.visitor import Reading, response_of
from helixflow.gateway.ports import Desk

_TOKEN_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {
        "model": OAuthError,
        "description": "The request must be changed, or the grant is not valid (RFC 6749, 5.2).",
        "headers": REQUEST_ID_HEADER,
    },
    401: {
        "model": OAuthError,
        "description": "The client is not the one that it says it is (`invalid_client`).",
        "headers": REQUEST_ID_HEADER,
    },
    **refusals(Refusal.BODY_TOO_LARGE, Refusal.AUTH_UNAVAILABLE, Refusal.INTERNAL_ERROR),
}
_REVOKE_ERRORS = {status: told for status, told in _TOKEN_ERRORS.items() if status != 401}
_ACCEPT_ERRORS = refusals(
    Refusal.INVALID_VALUE, Refusal.INVALID_API_KEY, Refusal.BODY_TOO_LARGE,
    Refusal.AUTH_UNAVAILABLE, Refusal.INTERNAL_ERROR,
)  # fmt: skip
_CLIENT = "client_credentials"


def router(desk: Desk) -> APIRouter:
    """`POST /v1/auth/token`, `/v1/auth/revoke` and `/v1/auth/accept`."""
    routes = APIRouter(tags=["tokens"])

    @routes.post(
        "/v1/auth/token",
        response_model=TokenAnswer,
        responses=_TOKEN_ERRORS,
        openapi_extra=_body("TokenRequest"),
    )
    async def grant_token(request: Request, visitor: Reading) -> Response:
        """An access token, for a service account's or a project's key (`client_credentials`), for
        a local user's `password`, or for a `refresh_token`. The client may say who it is by HTTP
        Basic authentication."""
        kind = ""
        try:
            told = await asked(request, TokenRequest)
            kind = told.grant_type
            arguments = told.model_dump(exclude_unset=True) | basic_client(request, told)
            answer = await visitor.call(desk, "token.grant", arguments)
        except Refused as refused:
            return _oauth_error(refused, kind)
        response = response_of(answer)
        response.headers["pragma"] = "no-cache"
        return response

    @routes.post(
        "/v1/auth/revoke",
        response_model=Revoked,
        responses=_REVOKE_ERRORS,
        openapi_extra=_body("RevocationRequest"),
    )
    async def revoke_token(request: Request, visitor: Reading) -> Response:
        """End an access token, or a refresh token with all tokens that came of it."""
        try:
            told = await asked(request, RevocationRequest)
            answer = await visitor.call(desk, "token.revoke", {"token": told.token})
        except Refused as refused:
            return _oauth_error(refused)
        return response_of(answer)

    @routes.post("/v1/auth/accept", response_model=Accepted, responses=_ACCEPT_ERRORS)
    async def accept_invite(body: AcceptRequest, visitor: Reading) -> Response:
        """Accept an invitation by choosing a password."""
        return await visitor.ask(desk, "invite.accept", body)

    return routes


def _oauth_error(refused: Refused, kind: str = "") -> Response:
    """RFC 6749, 5.2. Raises what is not about the request."""
    status, code = 400, ""
    match refused:
        case Unauthenticated() if kind == _CLIENT:
            status, code = 401, "invalid_client"
        case Unauthenticated() | Forbidden() | NotFound() | Conflict():
            code = "invalid_grant"
        case InvalidRequest(param="scopes"):
            code = "invalid_scope"
        case InvalidRequest(reason=Refusal.UNSUPPORTED_PARAMETER):
            code = "unsupported_grant_type"
        case InvalidRequest():
            code = "invalid_request"
        case _:
            raise refused
    body = msgspec.json.encode({"error": code, "error_description": refused.message})
    headers = {"cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="helixflow"'
    return Response(body, status, headers, "application/json")


def _body(model: str) -> dict[str, Any]:
    content = {"schema": schema_of(model)}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": content,
                "application/json": content,
            },
        }
    }
