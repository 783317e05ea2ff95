"""How busy a model replica is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """A replica's load as its engine sees it.

    Attributes:
        running: sequences being generated.
        waiting: requests that wait for a sequence slot.
        kv_used: the share of the KV cache in use, 0 to 1.
    """

    running: int = 0
    waiting: int = 0
    kv_used: float = 0.0
