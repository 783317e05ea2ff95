"""What Prometheus scrapes: the counts of all processes, on one page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from helixflow.errors import Refusal
from helixflow.gateway.http.openapi import CLOSED, REQUEST_ID_HEADER, refusals
from helixflow.gateway.http.visitor import Reading
from helixflow.gateway.ports import Desk

_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "headers": REQUEST_ID_HEADER,
        "description": "Prometheus' text format.",
    },
    **refusals(
        *CLOSED, Refusal.OVERLOADED, Refusal.TELEMETRY_UNAVAILABLE, Refusal.DEADLINE_EXCEEDED
    ),
}


def router(records: Desk) -> APIRouter:
    """`GET /metrics`."""
    routes = APIRouter(tags=["metrics"])

    @routes.get("/metrics", responses=_ANSWERS, response_class=Response)
    async def read_metrics(visitor: Reading) -> Response:
        """The metrics of the whole platform. Point Prometheus here, with a key of its own."""
        answer = await visitor.call(records, "metrics.read", {})
        headers = {"cache-control": "no-store"}
        return Response(answer.body, media_type=_MEDIA_TYPE, headers=headers)

    return routes
