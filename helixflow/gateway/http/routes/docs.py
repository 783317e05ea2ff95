"""The description of the API, and a page to try it that needs no internet.

The page's program and style come from the package `swagger_ui_bundle`; nothing else may run on it
(Content-Security-Policy).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from swagger_ui_bundle import swagger_ui_path

from helixflow.errors import NotFound, Refusal
from helixflow.gateway.http.openapi import Description, refusals
from helixflow.gateway.http.ports import Service

_OWN = Path(__file__).parent.parent / "static"
_BUNDLE = Path(swagger_ui_path)

ASSETS: Mapping[str, Path] = MappingProxyType(
    {
        "docs.css": _OWN / "docs.css",
        "docs.js": _OWN / "docs.js",
        "favicon-32x32.png": _BUNDLE / "favicon-32x32.png",
        "swagger-ui-bundle.js": _BUNDLE / "swagger-ui-bundle.js",
        "swagger-ui.css": _BUNDLE / "swagger-ui.css",
    }
)
"""What the page loads, by the name under `/docs/`; nothing else is served there."""

_ASSET_TYPES = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_ASSET_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "max-age=3600"}


def router(_: Service) -> APIRouter:
    """`GET /openapi.json`, `GET /docs` and what the page loads; all open."""
    routes = APIRouter(tags=["documentation"])
    description = Description()

    @routes.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        """This description (OpenAPI 3.1)."""
        return Response(description.of(request.app), media_type="application/json")

    @routes.get("/docs", response_class=HTMLResponse)
    async def docs() -> Response:
        """A page to read this description and to try the API; it needs no internet."""
        return FileResponse(_OWN / "docs.html", media_type="text/html", headers=_PAGE_HEADERS)

    @routes.get(
        "/docs/{asset}",
        response_class=Response,
        responses={
            200: {"content": {kind: {} for kind in _ASSET_TYPES.values()}},
            **refusals(Refusal.RESOURCE_NOT_FOUND),
        },
    )
    async def docs_asset(asset: str) -> Response:
        """What the page loads."""
        file = ASSETS.get(asset)
        if file is None:
            raise NotFound(Refusal.RESOURCE_NOT_FOUND, f"There is no {asset[:64]!r} here.")
        kind = _ASSET_TYPES[file.suffix]
        return FileResponse(file, headers=_ASSET_HEADERS, media_type=kind)

    return routes
