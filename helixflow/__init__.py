"""HelixFlow: a self-hosted, OpenAI-compatible inference platform on Ray Serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helixflow.handle import Client, connect

__all__ = ["Client", "connect"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # `handle` imports Ray, which takes a second and which the rest of the library does not need.
    if name in __all__:
        from helixflow import handle

        return getattr(handle, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
