"""Models as callers see them, and whether requests can be answered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helixflow.api.wire import Wire


class Model(Wire):
    """A model. `state`, `detail` and `progress` are HelixFlow's own."""

    id: str = Field(examples=["smollm2-135m-instruct"])
    object: Literal["model"] = "model"
    created: int = Field(description="When it was configured, in seconds since the Unix epoch.")
    owned_by: str
    state: str = Field(description="pending, loading, ready or failed.", examples=["ready"])
    detail: str = Field(description="What it is doing, or why it failed.", default="")
    progress: float = Field(description="How far loading is, 0 to 1.", default=0.0)


class ModelList(Wire):
    """The models that exist for the caller."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(Wire):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ModelReadiness(Wire):
    """One model's part in the readiness."""

    id: str
    state: str
    detail: str = ""
    progress: float = 0.0


class Readiness(Wire):
    """Whether requests can be answered, and what is not ready."""

    ready: bool
    waiting: list[str] = Field(
        description="What is not ready, in words.", examples=[["model smollm2: reading weights"]]
    )
    models: list[ModelReadiness]
