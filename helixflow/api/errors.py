"""The error body as OpenAPI describes it; `error_body.py` writes it."""

from __future__ import annotations

from pydantic import Field

from helixflow.api.wire import Wire
from helixflow.errors import Refusal


class Error(Wire):
    """Why there is no (complete) answer."""

    message: str = Field(description="One sentence for a person.")
    type: str = Field(description="The family of the error.", examples=["invalid_request_error"])
    param: str | None = Field(
        description="The offending field, where there is one.", examples=["messages[0].role"]
    )
    code: Refusal = Field(description="The machine-readable reason.")


class ErrorBody(Wire):
    """The only form in which a refusal reaches a client."""

    error: Error
