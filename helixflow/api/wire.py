"""The root of the wire models: they describe what goes over the wire, for OpenAPI.

Requests and answers of generations are never built from these; their bytes pass through. Fields
that a model does not name are allowed, as in OpenAI's API.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Open to further fields."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Usage(Wire):
    """Tokens of one request, over all its choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
