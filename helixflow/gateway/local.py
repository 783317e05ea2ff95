"""The face for other Ray programs: calls and answers as plain tuples, no HTTP.

Failure behavior: a refusal is the sidecar of the last frame, at whatever point of the answer it
came; nothing is raised across the process border.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

from helixflow.clock import Clock
from helixflow.errors import InvalidRequest, Refusal, Refused, TooLarge
from helixflow.gateway.pipeline import ModelCard, Pipeline
from helixflow.ids import mint_request_id
from helixflow.inference.bearings import take_bearings
from helixflow.inference.deadline import Deadline
from helixflow.inference.frame import Frame, FrameWire, Sidecar
from helixflow.inference.request import Call, CallWire, Operation
from helixflow.inference.trace import TraceContext
from helixflow.settings import GatewaySettings

CardWire: TypeAlias = tuple[str, int, str, str, str]
ModelsWire: TypeAlias = tuple[tuple[CardWire, ...], FrameWire | None]

_SOURCE = "handle"
"""No address: a credential that is bound to networks is refused, and policies see no source."""

_log = logging.getLogger(__name__)


class LocalFace:
    """Answers calls that come in through a Python handle."""

    def __init__(
        self, pipeline: Pipeline, settings: GatewaySettings, clock: Clock, body_bytes_max: int
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._body_bytes_max = body_bytes_max
        self._clock = clock

    async def answer(self, wire: CallWire) -> AsyncGenerator[FrameWire, None]:
        """The frames of an answer: one for a whole body, several for a stream."""
        try:
            call = self._call(wire)
            take_bearings(call.request_id, call.trace)
            async with self._pipeline.exchange(call) as exchange:
                yield Frame(exchange.first).to_wire()
                async with aclosing(exchange.rest()) as rest:
                    async for data in rest:
                        yield Frame(data).to_wire()
        except Exception as error:
            yield _refusal(error)

    async def models(self, credential: str | None) -> ModelsWire:
        """The models that the caller may see, or the frame that says why not."""
        try:
            principal = await self._pipeline.authenticate(credential, _SOURCE)
            self._pipeline.authorize(principal, "model:list", _SOURCE)
        except Exception as error:
            return ((), _refusal(error))
        return (tuple(_card_wire(card) for card in self._pipeline.models(principal, _SOURCE)), None)

    def _call(self, wire: CallWire) -> Call:
        _, operation, body, credential, timeout_s = wire[:5]
        if len(body) > self._body_bytes_max:
            raise TooLarge(
                Refusal.BODY_TOO_LARGE, f"The body is over {self._body_bytes_max} bytes."
            )
        limit_s = self._settings.request_s
        if timeout_s is not None and 0 < timeout_s < limit_s:  # never true of a NaN
            limit_s = timeout_s
        return Call(
            operation=_operation(operation),
            body=body,
            credential=credential,
            request_id=mint_request_id(),
            deadline=Deadline.after(self._clock.monotonic(), limit_s),
            source=_SOURCE,
            trace=TraceContext.of(wire[5], wire[6]) if len(wire) > 5 else None,
            door="handle",
        )


def _refusal(error: Exception) -> FrameWire:
    if not isinstance(error, Refused):
        _log.error("a call through a handle failed", exc_info=error)
        error = Refused(Refusal.INTERNAL_ERROR, "The request failed for a reason of our own.")
    return Frame(b"", Sidecar(refused=error)).to_wire()


def _operation(name: str) -> Operation:
    try:
        return Operation(name)
    except ValueError:
        raise InvalidRequest(
            Refusal.INVALID_VALUE, f"There is no operation {name[:64]!r}."
        ) from None


def _card_wire(card: ModelCard) -> CardWire:
    return (card.id, card.created, card.owned_by, card.state, card.detail)
