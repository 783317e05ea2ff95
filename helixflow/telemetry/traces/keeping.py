"""Which requests' spans are kept, and the two ends of a request brought together.

A request is kept if its caller keeps its trace, by its share of all (read off the request's id, so
that every process decides the same), if it failed, or if it was slow. The last two are known at one
end only, in whichever process: what is not kept at first is remembered for a while, and goes along
once the other end is. Pure, and bounded in both directions.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from helixflow.ids import RequestId
from helixflow.inference.trace import TraceContext, own_trace_id
from helixflow.settings import TracesSettings
from helixflow.telemetry.traces.span import Span
from helixflow.telemetry.traces.stages import Course

_RANDOM_BITS = 56


class Keeping:
    """What was decided of the last `joined_max` requests."""

    def __init__(self, settings: TracesSettings) -> None:
        self._settings = settings
        self._bound = settings.sample_ratio * (1 << _RANDOM_BITS)
        self._kept: OrderedDict[RequestId, None] = OrderedDict()
        self._waiting: OrderedDict[RequestId, list[Course]] = OrderedDict()

    def take(self, course: Course) -> tuple[Span, ...]:
        """The spans that are to be exported once this is known; often none."""
        request_id = course.request_id
        if self._sampled(request_id, course.caller):
            return course.spans
        if request_id in self._kept:
            return course.spans
        earlier = self._waiting.get(request_id)
        if not (course.failed or course.seconds >= self._settings.slow_s):
            if earlier is None:
                self._waiting[request_id] = [course]
                self._bound_size(self._waiting)
            else:
                earlier.append(course)
            return ()
        self._waiting.pop(request_id, None)
        self._kept[request_id] = None
        self._bound_size(self._kept)
        return tuple(span for each in (*(earlier or ()), course) for span in each.spans)

    def _sampled(self, request_id: RequestId, caller: TraceContext | None) -> bool:
        if caller is not None and self._settings.follow_caller:
            return caller.sampled
        # The rightmost 56 bits are those that W3C Trace Context (level 2) says are random. They are
        # the request's own: a caller who chose the trace's id must not choose what is kept.
        return int(own_trace_id(request_id)[-_RANDOM_BITS // 4 :], 16) < self._bound

    def _bound_size(self, held: OrderedDict[RequestId, Any]) -> None:
        if len(held) > self._settings.joined_max:
            held.popitem(last=False)
