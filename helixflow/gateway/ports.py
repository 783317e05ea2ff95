"""What the pipeline needs of the processes around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from helixflow.inference.frame import Frame
from helixflow.inference.principal import Principal
from helixflow.inference.request import EngineRequest
from helixflow.routing.registry import Snapshot


class Authenticator(Protocol):
    """Who is calling. `identity.authenticator.Authenticator` implements it."""

    def cached(self, credential: str | None) -> Principal | None:
        """The caller, if a fresh verdict is at hand; None sends the caller to `authenticate`."""
        ...

    async def authenticate(self, credential: str | None) -> Principal:
        """The caller. Raises `Unauthenticated`, or `Unavailable` where nobody can tell."""
        ...


class Dispatcher(Protocol):
    """Carries a request to a replica of its model and the answer back.

    Both raise `Unavailable` (`engine_died`) when the replica is lost on the way and `Overloaded`
    when too many requests already wait. Cancelling, or closing the generator, cancels the request
    in the replica.
    """

    async def unary(self, request: EngineRequest) -> Frame:
        """The whole answer as one frame."""
        ...

    def stream(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        """The answer's frames; the last one has a sidecar."""
        ...


class RegistrySource(Protocol):
    """Router, as an Ingress asks it for what it serves."""

    async def snapshot(self, epoch: str, revision: int, wait_s: float) -> Snapshot | None:
        """The registry, as soon as it differs from the named one; None after `wait_s` seconds.

        Raises `Unavailable` (`registry_unavailable`) where Router does not answer.
        """
        ...
