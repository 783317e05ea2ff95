"""The HTTP face: one ASGI app over the pipeline.

The hot routes are looked up in a table before anything else; all other routes are FastAPI's, behind
the gate. Works under Serve and under any ASGI server; the shield goes around it.

Failure behavior: whatever is raised, the client gets OpenAI's error body with a status and a code;
what is not a refusal is logged with the request id and shown to nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import helixflow
from helixflow.clock import Clock
from helixflow.errors import InvalidRequest, NotFound, Refusal, Refused
from helixflow.gateway.http.errors import answer_of, internal_error
from helixflow.gateway.http.gate import Gate
from helixflow.gateway.http.generation import HOT_ROUTES, Generation
from helixflow.gateway.http.note import note_of
from helixflow.gateway.http.ports import Service
from helixflow.gateway.http.routes import (
    auth,
    docs,
    generation,
    health,
    limits,
    metrics,
    models,
    organization,
    organization_audit,
    organization_content,
    organization_keys,
    organization_limits,
    organization_policies,
    organization_projects,
    organization_rates,
    organization_usage,
    organization_users,
    well_known,
)
from helixflow.gateway.ports import Desk
from helixflow.inference.bearings import take_bearings
from helixflow.settings import GatewaySettings, HttpSettings

ROUTERS: tuple[Callable[[Service], APIRouter], ...] = (
    generation.router,
    models.router,
    limits.router,
    health.router,
    docs.router,
)
DESK_ROUTERS: tuple[Callable[[Desk], APIRouter], ...] = (
    organization.router,
    organization_projects.router,
    organization_keys.router,
    organization_users.router,
    organization_limits.router,
    organization_policies.router,
    auth.router,
    well_known.router,
)
RECORD_ROUTERS: tuple[Callable[[Desk], APIRouter], ...] = (
    organization_usage.router,
    metrics.router,
)
BOTH_DESKS_ROUTERS: tuple[Callable[[Desk, Desk], APIRouter], ...] = (
    organization_audit.router,
    organization_content.router,
)
"""In the order of the documentation page. A router added to one of these needs its permissions in
permissions.py; what it raises as `Refused` is answered in OpenAI's form."""

_PARAM_LENGTH_MAX = 256


def build_face(
    pipeline: Service,
    settings: HttpSettings,
    gateway: GatewaySettings,
    clock: Clock,
    desk: Desk,
    records: Desk,
) -> ASGIApp:
    """The ASGI app. `desk` is the administration's in Auth, `records` that of Telemetry."""
    generation = Generation(pipeline, settings, gateway, clock)
    return Face(build_app(pipeline, desk, records), pipeline, generation)


def build_app(service: Service, desk: Desk, records: Desk) -> FastAPI:
    """The routes that are not hot, and the description of all."""
    app = FastAPI(
        title="HelixFlow",
        version=helixflow.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={
            Refused: _refusal,
            RequestValidationError: _invalid,
            HTTPException: _http,
            Exception: _fault,
        },
    )
    # `include_router` would make every route a second time; these lack nothing that it adds.
    for router in _routers(service, desk, records):
        app.router.routes.extend(router.routes)
    return app


def _routers(service: Service, desk: Desk, records: Desk) -> Iterator[APIRouter]:
    for router in ROUTERS:
        yield router(service)
    for desk_router in DESK_ROUTERS:
        yield desk_router(desk)
    for record_router in RECORD_ROUTERS:
        yield record_router(records)
    yield organization_rates.router(desk, service)
    for both_router in BOTH_DESKS_ROUTERS:
        yield both_router(desk, records)


class Face:
    """Hot routes by a table, everything else by FastAPI behind the gate."""

    def __init__(self, app: FastAPI, service: Service, generation: Generation) -> None:
        self._app = app
        self._cold = Gate(app, app.routes, service)
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            note, path = note_of(scope), _path(scope)
            take_bearings(note.request_id, note.trace)
            operation = HOT_ROUTES.get(path)
            if operation is not None and scope["method"] == "POST":
                note.route = path
                await self._generation.answer(operation, scope, receive, send)
                return
            with contextlib.suppress(Exception):  # Starlette raises again what `_fault` answered
                await self._cold(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)


def _path(scope: Scope) -> str:
    """The path below the point where the app is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


def _response(refused: Refused) -> Response:
    status, headers, body = answer_of(refused)
    response = Response(body, status)
    response.raw_headers = headers
    return response


async def _refusal(_: Request, error: Refused) -> Response:
    return _response(error)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    fault = error.errors()[0]
    param = ".".join(str(part) for part in fault["loc"][1:])[:_PARAM_LENGTH_MAX] or None
    return _response(InvalidRequest(Refusal.INVALID_VALUE, f"{fault['msg']}.", param=param))


async def _http(request: Request, error: HTTPException) -> Response:
    """Starlette's own answers: no such route, not by this method."""
    if error.status_code == 405:
        response = _response(
            InvalidRequest(
                Refusal.METHOD_NOT_ALLOWED,
                f"{request.method} is not allowed on {request.url.path}.",
            )
        )
        response.headers["allow"] = (error.headers or {})["Allow"]
        return response
    if error.status_code == 404:
        return _response(
            NotFound(Refusal.ROUTE_NOT_FOUND, f"There is no route {request.url.path[:256]!r}.")
        )
    return _response(InvalidRequest(Refusal.INVALID_VALUE, error.detail))


async def _fault(request: Request, error: Exception) -> Response:
    return _response(internal_error(error, note_of(request.scope).request_id))
