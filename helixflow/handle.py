"""The platform from another Ray program: the same pipeline as over HTTP, without HTTP.

    import helixflow

    client = helixflow.connect(api_key="hx-proj-...")
    answer = client.chat(model="smollm2", messages=[{"role": "user", "content": "Hello"}])
    print(answer["choices"][0]["message"]["content"])

Keyword arguments and answers are OpenAI's, as plain dictionaries; `traceparent` and `tracestate`
put the request into a trace of the caller's (W3C Trace Context). `chat` and `stream` block and
are for scripts; `achat` and `astream` are for async programs and Serve deployments.

Failure behavior: a refusal raises the class of `helixflow.errors` that belongs to its reason, with
the same facts that an HTTP client gets. Where no HelixFlow runs in the cluster, `connect` raises
`Unavailable`. Leaving a stream early ends its generation.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Generator
from typing import Any

import ray
from ray import serve
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from helixflow.api.sse import Decoder
from helixflow.errors import DeadlineExceeded, Refusal, Unavailable
from helixflow.inference.frame import Frame
from helixflow.inference.request import CALL_VERSION, CallWire, Operation

APP = "helixflow"
INGRESS = "Ingress"


def connect(
    api_key: str | None = None, *, timeout_s: float | None = None, app: str = APP
) -> Client:
    """A client of the HelixFlow that runs in this Ray cluster.

    Args:
        api_key: a project key; by default what OPENAI_API_KEY holds.
        timeout_s: the deadline of each request; never longer than the platform's own.
        app: the Serve app; `serve run` without `--name` calls it `default`.

    Raises Unavailable where HelixFlow is not running in the cluster. `ray.init` must have been
    called by a script; inside a Serve deployment it was.
    """
    if not ray.is_initialized():  # Serve would start a cluster of its own here
        raise Unavailable(
            Refusal.REGISTRY_UNAVAILABLE, "This program is in no Ray cluster: call ray.init first."
        )
    try:
        handle = serve.get_deployment_handle(INGRESS, app_name=app)
    except RayServeException as error:
        raise Unavailable(
            Refusal.REGISTRY_UNAVAILABLE, f"HelixFlow does not run in this Ray cluster: {error}"
        ) from error
    return Client(handle, api_key or os.environ.get("OPENAI_API_KEY"), timeout_s)


class Client:
    """Requests through a Python handle. Its repr does not show the key."""

    def __init__(
        self, handle: DeploymentHandle[Any], api_key: str | None, timeout_s: float | None
    ) -> None:
        self._frames = handle.options(
            method_name="answer",
            stream=True,
            _by_reference=False,
            request_serialization="pickle",
            response_serialization="pickle",
        )
        self._models = handle.options(method_name="list_models")
        self._api_key = api_key
        self._timeout_s = timeout_s

    def chat(self, **body: Any) -> dict[str, Any]:
        """A whole chat completion; `body` is OpenAI's request."""
        return self._whole(Operation.CHAT, body)

    def complete(self, **body: Any) -> dict[str, Any]:
        """A whole text completion; `body` is OpenAI's request."""
        return self._whole(Operation.COMPLETION, body)

    def stream(self, **body: Any) -> Generator[dict[str, Any], None, None]:
        """A chat completion's chunks as they are generated."""
        decoder = Decoder()
        response = self._frames.remote(self._wire(Operation.CHAT, {**body, "stream": True}))
        try:
            for wire in response:
                yield from _chunks(decoder, wire)
        finally:
            response.cancel()

    def models(self) -> list[str]:
        """Names of the models that this key may use."""
        response = self._models.remote(self._api_key)
        try:
            cards, refused = response.result(timeout_s=self._timeout_s)
        except TimeoutError:
            raise DeadlineExceeded.of("The request", self._timeout_s or 0.0) from None
        finally:
            response.cancel()
        if refused is not None:
            _data(refused)
        return [card[0] for card in cards]

    async def achat(self, **body: Any) -> dict[str, Any]:
        """`chat`, for async programs."""
        response = self._frames.remote(self._wire(Operation.CHAT, {**body, "stream": False}))
        try:
            return _whole(b"".join([_data(wire) async for wire in response]))
        finally:
            response.cancel()

    async def astream(self, **body: Any) -> AsyncGenerator[dict[str, Any], None]:
        """`stream`, for async programs."""
        decoder = Decoder()
        response = self._frames.remote(self._wire(Operation.CHAT, {**body, "stream": True}))
        try:
            async for wire in response:
                for chunk in _chunks(decoder, wire):
                    yield chunk
        finally:
            response.cancel()

    def _whole(self, operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
        response = self._frames.remote(self._wire(operation, {**body, "stream": False}))
        try:
            return _whole(b"".join(_data(wire) for wire in response))
        finally:
            response.cancel()

    def _wire(self, operation: Operation, body: dict[str, Any]) -> CallWire:
        parent, state = (str(body.pop(name, "")) for name in ("traceparent", "tracestate"))
        raw = json.dumps(body).encode()
        return (
            CALL_VERSION, operation.value, raw, self._api_key, self._timeout_s, parent, state,
        )  # fmt: skip


def _data(wire: Any) -> bytes:
    frame = Frame.from_wire(wire)
    if frame.sidecar is not None and frame.sidecar.refused is not None:
        raise frame.sidecar.refused
    return frame.data


def _whole(raw: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(raw)
    return answer


def _chunks(decoder: Decoder, wire: Any) -> Generator[dict[str, Any], None, None]:
    for data in decoder.feed(_data(wire)):
        if data != b"[DONE]":
            yield json.loads(data)
