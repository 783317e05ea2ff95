"""What the HTTP face needs of the pipeline. `gateway.pipeline.Pipeline` implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from helixflow.inference.principal import Principal
from helixflow.inference.request import Call


class Card(Protocol):
    """A model as callers see it."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> int: ...
    @property
    def owned_by(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def progress(self) -> float: ...


class OwnLimit(Protocol):
    """A limit of a caller. Spend is in US dollars; None where nobody can tell."""

    @property
    def name(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def limit(self) -> float: ...
    @property
    def remaining(self) -> float | None: ...
    @property
    def reset_s(self) -> float | None: ...


class Ready(Protocol):
    """Whether requests can be answered, and what is not ready, in words."""

    @property
    def ready(self) -> bool: ...
    @property
    def waiting(self) -> tuple[str, ...]: ...
    @property
    def models(self) -> Sequence[Card]: ...


class Answer(Protocol):
    """One request's answer, as it comes."""

    @property
    def streaming(self) -> bool: ...
    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]: ...
    @property
    def first(self) -> bytes: ...

    def rest(self) -> AsyncIterator[bytes]:
        """The SSE bytes after `first`. Raises `Refused` where the answer breaks off."""
        ...


class Service(Protocol):
    """The pipeline."""

    def exchange(self, call: Call) -> AbstractAsyncContextManager[Answer, bool | None]:
        """Entered with the first bytes there; leaving it settles and frees, in every case."""
        ...

    async def authenticate(self, credential: str | None, source: str = "") -> Principal:
        """The caller. Raises `Unauthenticated`, `Forbidden` or `Unavailable`."""
        ...

    def authorize(self, principal: Principal, permission: str, source: str = "") -> None:
        """Raises `Forbidden` where the caller lacks the permission (`resource:action`)."""
        ...

    def models(self, principal: Principal, source: str = "") -> Sequence[Card]:
        """The models that exist for this caller. Raises `Unavailable`."""
        ...

    def model(self, name: str, principal: Principal, source: str = "") -> Card:
        """One of them by name or alias. Raises `NotFound`, `Forbidden` or `Unavailable`."""
        ...

    async def limits(self, principal: Principal, source: str = "") -> Sequence[OwnLimit]:
        """The caller's limits and what is left of them. Raises `Unavailable`."""
        ...

    def readiness(self) -> Ready:
        """What is ready."""
        ...
