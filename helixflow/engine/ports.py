"""What a model replica needs of an engine.

Failure behavior: an engine that can no longer generate answers every request with `Unavailable`
(`engine_died`) and fails `health`, so that its replica is replaced. A request that the engine
refuses (a prompt that is too long, a schema that cannot be compiled) raises a `Refused`; nothing
else leaves `generate`. Closing the generator, by cancellation or `aclose`, aborts the generation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol, TypeAlias

from helixflow.inference.frame import Frame
from helixflow.inference.load import Load
from helixflow.inference.request import EngineRequest
from helixflow.inference.usage import Usage

Progress: TypeAlias = Callable[[str, float], None]
"""Called while an engine loads: what it is doing, and how far it is (0 to 1)."""


class Engine(Protocol):
    """Something that generates. `helixflow.testing.check_engine` checks an implementation."""

    async def start(self, progress: Progress) -> None:
        """Load the model. Raises `ModelLoadError` with a reason that a person can act on."""
        ...

    def generate(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        """Answer a request: one frame, or several for a stream; only the last has a sidecar."""
        ...

    def usage(self, request_id: str) -> Usage:
        """What a running or just ended request has used so far; zeros where it is not known.

        This is how the tokens of a request that was hung up on are known: its generator is closed
        before a sidecar could be sent. The fair queue asks too, as often as it decides. Cheap, and
        the same whoever asks.
        """
        ...

    def load(self) -> Load:
        """How busy the engine is right now. Cheap: asked once per answer."""
        ...

    async def health(self) -> None:
        """Raises `Unavailable` when the engine can no longer generate."""
        ...

    async def stop(self) -> None:
        """End the engine and all of its processes. Calling it twice is harmless."""
        ...
