"""A span, before OpenTelemetry's library makes its own of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Attribute: TypeAlias = str | int | float | bool | tuple[str, ...]

INTERNAL = "internal"
SERVER = "server"


@dataclass(frozen=True, slots=True)
class Span:
    """Times are epoch seconds, ids hexadecimal digits.

    Attributes:
        kind: `server` where a process takes the request on, else `internal`.
        parent_id: of the span that it is a part of; empty for the first one of a trace.
        remote: whether that is a span of another process.
        attributes: OpenTelemetry's names, and `helixflow.` ones.
        error: why it failed, where that is the platform's fault; empty otherwise.
        state: the trace's `tracestate`.
        part: which process it is of (`ingress`, `model`), and its source's name.
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: float
    end: float
    attributes: Mapping[str, Attribute]
    remote: bool = False
    error: str = ""
    state: str = ""
    part: tuple[str, str] = ("", "")


def span_id(*of: str) -> str:
    """The id of the span that is called so: the same whenever it is built again."""
    digest = hashlib.blake2b("/".join(of).encode(), digest_size=8).hexdigest()
    return digest if digest.strip("0") else "1".rjust(16, "0")
