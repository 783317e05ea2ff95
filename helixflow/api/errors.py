"""The error body as OpenAPI describes it; `error_body.py` writes it."""

from __future__ import annotations

from pydantic import Field

from helixflow.api.wire import Wire
from helixflow.errors import Refusal


class LimitBreach(Wire):
    """The limit that the request would have passed."""

    name: str = Field(examples=["requests_per_minute"])
    scope: str = Field(description="Whose use it counts.", examples=["key=key_6b1f,model=m"])
    limit: float = Field(description="Requests, tokens, requests at a time; US dollars of spend.")
    current: float = Field(description="How much of it is used or reserved.")
    reset_seconds: float = Field(
        description="How long until nothing of it is used, if nothing more is."
    )


class Error(Wire):
    """Why there is no (complete) answer."""

    message: str = Field(description="One sentence for a person.")
    type: str = Field(description="The family of the error.", examples=["invalid_request_error"])
    param: str | None = Field(
        description="The offending field, where there is one.", examples=["messages[0].role"]
    )
    code: Refusal = Field(description="The machine-readable reason.")
    limit: LimitBreach | None = Field(
        default=None, description="Which limit, where that is the reason; missing otherwise."
    )


class ErrorBody(Wire):
    """The only form in which a refusal reaches a client."""

    error: Error
