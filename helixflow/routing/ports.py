"""What routing needs of the machine room: start, stop and watch model apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from helixflow.inference.model_spec import ModelSpec


class ModelState(StrEnum):
    """Where a model is in its life."""

    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model's state as the fleet sees it.

    Attributes:
        state: see `ModelState`.
        detail: what it is doing, or why it failed, in one line.
        progress: how far loading is, 0 to 1.
        replicas: replicas that can answer.
    """

    state: ModelState
    detail: str = ""
    progress: float = 0.0
    replicas: int = 0


class Fleet(Protocol):
    """Brings model apps up and down. deployments/router.py implements it with Ray Serve."""

    async def recorded(self) -> Mapping[str, str]:
        """The fingerprint of every model app that is deployed, by model name."""
        ...

    async def start(self, specs: Sequence[ModelSpec]) -> None:
        """Deploy these (again); returns when they are on their way, not when they are ready."""
        ...

    async def stop(self, names: Sequence[str]) -> None:
        """Take these down."""
        ...

    async def statuses(self) -> Mapping[str, ModelStatus]:
        """The state of every deployed model app, by model name."""
        ...
