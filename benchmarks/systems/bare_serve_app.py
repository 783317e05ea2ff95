"""The bare one-hop Serve app: the floor that any platform on Ray Serve stands on.

A Starlette app in an ingress replica hands the body on as bytes to a model side in an app of its
own, and sends back what that answers. No authentication, no parsing, no checks, no registry: what
is left is the cost of HAProxy, uvicorn and one hop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from ray import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from benchmarks.systems.ready_answers import stream_events, whole

PATH = "/v1/chat/completions"
_MODEL, _MODEL_APP = "Model", "floor-model"
_ONGOING_MAX = 8192
_CPUS = 0.1
_TOKENS, _STREAM_TOKENS = 16, 100
# A root deployment opens a port of its own unless both are off; the model side needs none.
_NO_PORT = {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"}


class Model:
    """The model side: bytes in, ready bytes out."""

    def __init__(self) -> None:
        self._whole = whole(_TOKENS)
        self._events = stream_events(_STREAM_TOKENS)

    async def unary(self, body: bytes) -> bytes:
        return self._whole

    async def stream(self, body: bytes) -> AsyncGenerator[bytes, None]:
        for event in self._events:
            yield event


@serve.ingress()
class Front:
    """The ingress side. Handles are made once."""

    def __init__(self) -> None:
        # The model side's app may come up later than this one.
        handle = serve.get_deployment_handle(_MODEL, app_name=_MODEL_APP, _check_exists=False)
        handle = handle.options(
            _by_reference=False, request_serialization="pickle", response_serialization="pickle"
        )
        self._unary = handle.unary
        self._stream = handle.options(stream=True).stream

    def __serve_build_asgi_app__(self) -> Starlette:
        """Called by Serve once the replica is built."""
        return Starlette(routes=[Route(PATH, self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        if b'"stream":true' in body:
            return StreamingResponse(self._stream.remote(body), media_type="text/event-stream")
        return Response(await self._unary.remote(body), media_type="application/json")


def build_model(_args: dict[str, Any]) -> serve.Application:
    """The model side's app."""
    without_port = {"num_cpus": _CPUS, "runtime_env": {"env_vars": _NO_PORT}}
    return _deployed(Model, without_port)


def build_front(_args: dict[str, Any]) -> serve.Application:
    """The ingress side's app."""
    return _deployed(Front, {"num_cpus": _CPUS})


def _deployed(kind: type, actor: dict[str, Any]) -> serve.Application:
    return serve.deployment(
        name=kind.__name__,
        max_ongoing_requests=_ONGOING_MAX,
        logging_config={"enable_access_log": False},
        ray_actor_options=actor,
    )(kind).bind()
