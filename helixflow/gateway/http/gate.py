"""Closed unless listed: who may pass to which route, decided before the route runs.

Failure behavior: a caller that cannot be authenticated learns nothing about routes, not even
whether one exists. A route without a declared permission is refused and logged as a fault of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from helixflow.errors import Forbidden, Refusal, Refused
from helixflow.gateway.http.credential import bearer, source_of
from helixflow.gateway.http.errors import answer_of
from helixflow.gateway.http.note import note_of
from helixflow.gateway.http.permissions import OPEN_ROUTES, OWN_ROUTES, ROUTE_PERMISSIONS
from helixflow.gateway.http.ports import Service

_log = logging.getLogger(__name__)


class Gate:
    """Stands before the app that routes everything but the hot routes."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], service: Service) -> None:
        self._app = app
        self._routes = routes
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._admit(scope)
        except Refused as refused:
            status, headers, body = answer_of(refused)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        """Raises what the caller lacks; notes who it is."""
        match, path = self._match(scope)
        note_of(scope).route = path
        if match is not Match.NONE and path in OPEN_ROUTES:
            return
        source = source_of(scope)
        principal = await self._service.authenticate(bearer(scope["headers"]), source)
        note_of(scope).principal = principal
        if match is not Match.FULL:
            return  # no such route, or not by this method: the app says so
        if (scope["method"], path) in OWN_ROUTES:
            return
        permission = ROUTE_PERMISSIONS.get((scope["method"], path))
        if permission is None:
            _log.error("the route %s %s declares no permission", scope["method"], path)
            raise Forbidden(Refusal.PERMISSION_DENIED, "This route is not open to anybody.")
        self._service.authorize(principal, permission, source)

    def _match(self, scope: Scope) -> tuple[Match, str]:
        """The route that the app will choose: the first full match, else the first partial one."""
        partial: tuple[Match, str] = (Match.NONE, "")
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return match, getattr(route, "path", "")
            if match is Match.PARTIAL and partial[0] is Match.NONE:
                partial = (match, getattr(route, "path", ""))
        return partial
