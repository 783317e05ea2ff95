"""What the pipeline needs of the limits: reserve before the engine runs, settle after.

A reservation is made from an estimate in one step, all counters or none, and settled exactly once
with the truth, in `finally`. `Unlimited` is the limiter of a platform without limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from helixflow.ids import RequestId
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import ParsedBody
from helixflow.inference.usage import Usage


class Reservation(Protocol):
    """What one request holds of its caller's limits."""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the caller is told about its limits (`x-ratelimit-...`), lower-case names."""
        ...

    def settle(self, usage: Usage | None) -> None:
        """Book what was really used and give the rest back; None books the whole estimate."""
        ...


class Limiter(Protocol):
    """Admits requests."""

    async def reserve(
        self, request_id: RequestId, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> Reservation:
        """Take what the request may use, or raise `QuotaExceeded` and take nothing."""
        ...


@dataclass(frozen=True, slots=True)
class _Free:
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def settle(self, usage: Usage | None) -> None:
        """Nothing was held."""


_FREE = _Free()


class Unlimited:
    """Admits everything."""

    async def reserve(
        self, request_id: RequestId, principal: Principal, spec: ModelSpec, body: ParsedBody
    ) -> Reservation:
        return _FREE
