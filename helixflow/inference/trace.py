"""Where a request stands in a trace: W3C Trace Context, and the names that need no agreement.

A request that comes without a context is a trace of its own, whose id is the random part of the
request's id; the span of its way through the Ingress is called by the first half of that. So
whoever knows the request's id knows both, and nothing has to travel for them.
Formats: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from helixflow.ids import RequestId

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE_CHARS_MAX = 512
_ID = len("req_")
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace that somebody else began.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: of the span that is the parent of what is done here, 16 hexadecimal digits.
        sampled: whether whoever began it keeps it.
        state: `tracestate`, as it came; handed on, never read.
    """

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""

    @property
    def parent(self) -> str:
        """The context as `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    @staticmethod
    def of(parent: str, state: str = "") -> TraceContext | None:
        """What `traceparent` and `tracestate` say; None where the former is not valid.

        A later version's is read as far as this one's goes, as W3C demands.
        """
        match = _PARENT.fullmatch(parent.strip(" \t"))
        if match is None:
            return None
        version, trace_id, span_id, flags, more = match.groups()
        if version == "ff" or (version == "00" and more):
            return None
        if not trace_id.strip("0") or not span_id.strip("0"):
            return None
        kept = state if len(state) <= _STATE_CHARS_MAX and state.isprintable() else ""
        return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED), kept)

    @staticmethod
    def within(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
        """The context that HTTP headers carry (their names in lower case), or None."""
        parents = [value for name, value in headers if name == b"traceparent"]
        if len(parents) != 1:
            return None
        states = [value for name, value in headers if name == b"tracestate"]
        return TraceContext.of(parents[0].decode("latin-1"), b",".join(states).decode("latin-1"))

    def below(self, request_id: RequestId) -> TraceContext:
        """The context that the Ingress hands on: its own span is the parent there."""
        return TraceContext(self.trace_id, own_span_id(request_id), self.sampled, self.state)


def own_trace_id(request_id: RequestId) -> str:
    """The trace of a request that came without one."""
    return request_id[_ID:]


def own_span_id(request_id: RequestId) -> str:
    """The span of a request's way through the Ingress."""
    return request_id[_ID : _ID + 16]
