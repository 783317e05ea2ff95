"""Which request the running code serves: what every log line of it says.

One variable of the task, set where a request enters a process. `telemetry/logs.py` puts both ids
into each line that is logged meanwhile, also into Serve's and vLLM's.
"""

from __future__ import annotations

from contextvars import ContextVar

from helixflow.ids import RequestId
from helixflow.inference.trace import TraceContext, own_trace_id

_current: ContextVar[tuple[str, str] | None] = ContextVar("helixflow_bearings", default=None)


def take_bearings(request_id: RequestId, trace: TraceContext | None = None) -> None:
    """The running task serves this request from here on."""
    trace_id = own_trace_id(request_id) if trace is None else trace.trace_id
    _current.set((request_id, trace_id))


def bearings() -> tuple[str, str] | None:
    """`(request id, trace id)`; None where no request is served."""
    return _current.get()
