"""What each route asks of its caller. A route that stands in neither table is refused.

The tables hold every route of the HTTP face, in alphabetical order of their paths; a test walks all
routes and finds each one here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from helixflow.identity.permissions import Permission

OPEN_ROUTES = frozenset(
    {
        "/docs",
        "/docs/{asset}",
        "/healthz",
        "/openapi.json",
        "/readyz",
    }
)
"""Paths that anybody may ask for, by whatever methods they have."""

ROUTE_PERMISSIONS: Mapping[tuple[str, str], Permission] = MappingProxyType(
    {
        ("POST", "/v1/chat/completions"): Permission.MODEL_INVOKE,
        ("POST", "/v1/completions"): Permission.MODEL_INVOKE,
        ("GET", "/v1/models"): Permission.MODEL_LIST,
        ("GET", "/v1/models/{model:path}"): Permission.MODEL_READ,
    }
)
"""What the caller must be permitted, by method and path. The pipeline holds those of generations
itself, because they come in by other doors too."""
