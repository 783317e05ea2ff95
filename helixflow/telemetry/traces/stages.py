"""From the events of a request to its spans. Pure: the same event gives the same spans.

An Ingress's event gives the span of the request and one per stage; a Model's gives the generation,
with its time in the queue, before the first token and after it. Names and attributes are those of
OpenTelemetry's HTTP and GenAI conventions.

A request whose last bytes could not be delivered has two ends: the first one, before they went out,
gives its spans, and the second a span of its own beside the stages, `deliver`. So no span is made
twice, whatever was exported of the first end by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from helixflow.errors import DeadlineExceeded, Overloaded, Refused, Unavailable
from helixflow.ids import RequestId
from helixflow.inference.facts import CANCELED, OK, Ended, Generated
from helixflow.inference.request import Operation
from helixflow.inference.trace import TraceContext, own_span_id, own_trace_id
from helixflow.inference.trace_facts import Traced, caller_of
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind
from helixflow.telemetry.traces.span import INTERNAL, SERVER, Attribute, Span, span_id

INGRESS_KINDS = frozenset({EventKind.REQUEST_ENDED, EventKind.REQUEST_REFUSED})

_OPERATIONS = {Operation.CHAT.value: "chat", Operation.COMPLETION.value: "text_completion"}
_PROVIDER = "helixflow"
_FIRST, _REST, _DELIVER = "first_token", "rest", "deliver"
_ANSWERED = 200


@dataclass(frozen=True, slots=True)
class Course:
    """A request's way through one process, as an event tells it.

    Attributes:
        request_id: whose.
        caller: the place in a trace that it was given, or None.
        failed: whether it was refused or broke off; a client that hung up is no failure.
        seconds: from its arrival in the process to its end.
    """

    request_id: RequestId
    caller: TraceContext | None
    failed: bool
    seconds: float
    _build: Callable[[], tuple[Span, ...]] = field(repr=False)

    @property
    def spans(self) -> tuple[Span, ...]:
        """What a trace shows of it; built when it is asked for, because most are never kept."""
        return self._build()


def course_of(event: Event, source: str, number: int, statuses: Mapping[str, int]) -> Course | None:
    """What an event tells for a trace; None for one that tells nothing.

    `source` and `number` say which event it is, `statuses` the HTTP status of each refusal's word.
    Raises ValueError where its facts are not such.
    """
    if event.kind in INGRESS_KINDS:
        return _ingress(event, source, statuses)
    if event.kind is EventKind.REQUEST_GENERATED:
        return _model(event, source, number)
    return None


def _ingress(event: Event, source: str, statuses: Mapping[str, int]) -> Course:
    ended, traced = Ended.read(event.facts), Traced.read(event.facts)
    build = _ingress_spans if ended.whole_s is None else _late_spans
    return Course(
        RequestId(event.id), traced.caller, _failed(ended.outcome), ended.duration_s,
        partial(build, event, source, ended, traced, statuses),
    )  # fmt: skip


def _late_spans(
    event: Event, source: str, ended: Ended, traced: Traced, _: Mapping[str, int]
) -> tuple[Span, ...]:
    """The vain delivery of an answer whose end was told already."""
    request_id, begun = RequestId(event.id), event.at - ended.duration_s
    trace_id, _parent, state = _place(request_id, traced.caller)
    start = min(begun + (ended.whole_s or 0.0), event.at)
    deliver = Span(
        _DELIVER, INTERNAL, trace_id, span_id(request_id, _DELIVER), own_span_id(request_id), start,
        event.at, _end(ended.outcome, ""), error=_fault(ended.outcome), state=state,
        part=("ingress", source),
    )  # fmt: skip
    return (deliver,)


def _ingress_spans(
    event: Event, source: str, ended: Ended, traced: Traced, statuses: Mapping[str, int]
) -> tuple[Span, ...]:
    request_id = RequestId(event.id)
    trace_id, parent_id, state = _place(request_id, traced.caller)
    root_id = own_span_id(request_id)
    begun = event.at - ended.duration_s - traced.receive_s
    part = ("ingress", source)
    root = Span(
        _root_name(traced), SERVER, trace_id, root_id, parent_id, begun, event.at,
        _root_attributes(request_id, traced, ended, statuses), traced.caller is not None,
        _fault(ended.outcome), state, part,
    )  # fmt: skip
    stages: list[Span] = []
    at = begun
    answered = _FIRST in ended.stages
    for stage, seconds in (("receive", traced.receive_s), *ended.stages.items()):
        name = stage
        if stage == _REST:
            name = "stream" if answered else "unfinished"
        until = min(at + seconds, event.at)
        stages.append(
            Span(
                name,
                INTERNAL,
                trace_id,
                span_id(request_id, stage),
                root_id,
                at,
                until,
                {},
                state=state,
                part=part,
            )
        )
        at = until
    return (root, *stages)


def _model(event: Event, source: str, number: int) -> Course:
    told, caller = Generated.read(event.facts), caller_of(event.facts)
    return Course(
        RequestId(event.id), caller, _failed(told.outcome), told.duration_s,
        partial(_model_spans, event, source, number, told, caller),
    )  # fmt: skip


def _model_spans(
    event: Event, source: str, number: int, told: Generated, caller: TraceContext | None
) -> tuple[Span, ...]:
    request_id = RequestId(event.id)
    # The caller of a Model is the Ingress: its own span is what this is a part of.
    trace_id = own_trace_id(request_id) if caller is None else caller.trace_id
    own_id = span_id(request_id, source, str(number))
    begun = event.at - told.duration_s
    attributes: dict[str, Attribute] = {
        "gen_ai.operation.name": _operation(event),
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.model": told.model,
        "gen_ai.response.model": told.model,
        "helixflow.request.id": request_id,
        "helixflow.replica": told.replica,
        **_usage(told.usage),
        **_end(told.outcome, told.finish_reason),
    }
    part = ("model", source)
    whole = Span(
        f"generate {told.model}", SERVER, trace_id, own_id, own_span_id(request_id), begun, event.at,
        attributes, remote=True, error=_fault(told.outcome), part=part,
    )  # fmt: skip
    queued = begun + min(told.queue_s, told.duration_s)
    first = event.at if told.first_token_s is None else min(begun + told.first_token_s, event.at)
    first = max(first, queued)
    steps = [("queue", begun, queued), ("prefill", queued, first)]
    if told.first_token_s is not None:
        steps.append(("decode", first, event.at))
    spans = (
        Span(
            name,
            INTERNAL,
            trace_id,
            span_id(request_id, source, str(number), name),
            own_id,
            start,
            end,
            {},
            part=part,
        )
        for name, start, end in steps
    )
    return (whole, *spans)


def _place(request_id: RequestId, caller: TraceContext | None) -> tuple[str, str, str]:
    """The trace, the parent and the state of a request's first span."""
    if caller is None:
        return own_trace_id(request_id), "", ""
    return caller.trace_id, caller.span_id, caller.state


def _root_name(traced: Traced) -> str:
    return f"POST {_route(traced)}" if traced.door == "http" else traced.operation


def _route(traced: Traced) -> str:
    return "/v1/" + traced.operation.replace(".", "/")


def _root_attributes(
    request_id: RequestId, traced: Traced, ended: Ended, statuses: Mapping[str, int]
) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        "gen_ai.operation.name": _OPERATIONS.get(traced.operation, traced.operation),
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.stream": traced.stream,
        "helixflow.request.id": request_id,
        **_usage(ended.usage),
        **_end(ended.outcome, ended.finish_reason),
    }
    if traced.door == "http":
        attributes |= {"http.request.method": "POST", "http.route": _route(traced)}
        status = _status(ended, statuses)
        if status is not None:
            attributes["http.response.status_code"] = status
    if traced.model:
        attributes |= {"gen_ai.request.model": traced.model, "gen_ai.response.model": traced.model}
    if traced.stream and ended.first_token_s is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = ended.first_token_s
    who = traced.personal
    if who is not None:
        told = {
            "helixflow.organization.id": who.organization,
            "helixflow.project.id": who.project,
            "helixflow.key.id": who.key,
            "user.id": who.subject,
            "client.address": who.address,
        }
        attributes |= {name: value for name, value in told.items() if value}
    return attributes


def _status(ended: Ended, statuses: Mapping[str, int]) -> int | None:
    """What the client got; None where it hung up before, or for a word of a later version.

    With the first bytes the status is out: what breaks off after them breaks off a 200.
    """
    if ended.outcome == OK or ended.first_token_s is not None:
        return _ANSWERED
    return statuses.get(ended.outcome)


def _operation(event: Event) -> str:
    word = str(event.facts.get("operation") or Operation.CHAT.value)
    return _OPERATIONS.get(word, word)


def _usage(usage: Usage | None) -> dict[str, Attribute]:
    if usage is None:
        return {}
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
    }


def _end(outcome: str, finish_reason: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {"helixflow.outcome": outcome}
    if finish_reason:
        attributes["gen_ai.response.finish_reasons"] = (finish_reason,)
    if _failed(outcome):
        attributes["error.type"] = outcome
    return attributes


def _failed(outcome: str) -> bool:
    return outcome not in (OK, CANCELED)


def _fault(outcome: str) -> str:
    """The outcome, where the platform failed: what the client did wrong is no error of a server."""
    if not _failed(outcome):
        return ""
    refused = Refused.from_wire((outcome, "", None, None))
    ours = isinstance(refused, (DeadlineExceeded, Overloaded, Unavailable)) or (
        type(refused) is Refused
    )
    return outcome if ours else ""
