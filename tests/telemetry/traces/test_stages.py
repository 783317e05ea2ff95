from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from helixflow.inference.trace import own_span_id, own_trace_id
from helixflow.inference.trace_facts import Personal, Traced
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind
from helixflow.telemetry.traces.stages import Course, course_of

from .strategies import CALLER, EVENTS, NOW, REQUEST, STATUSES, ended, generated

SOURCE = "ingress-1"


def course(event: Event, number: int = 1) -> Course:
    found = course_of(event, SOURCE, number, STATUSES)
    assert found is not None
    return found


def steps(event: Event) -> list[tuple[str, float, float]]:
    """Name, begin and end of each stage; seconds before the event."""
    return [(span.name, span.start - NOW, span.end - NOW) for span in course(event).spans[1:]]


@given(EVENTS)
def test_stages_lie_within_their_request_one_after_the_other(event: Event) -> None:
    whole, *parts = course(event).spans
    assert whole.start <= whole.end == event.at
    at = whole.start
    for part in parts:
        assert at - 1e-6 <= part.start <= part.end <= whole.end
        assert (part.trace_id, part.parent_id) == (whole.trace_id, whole.span_id)
        at = part.end


@given(EVENTS)
def test_the_same_event_gives_the_same_spans_and_no_two_have_one_id(event: Event) -> None:
    spans = course(event).spans
    assert spans == course(event).spans
    assert len({span.span_id for span in spans}) == len(spans)
    assert all(len(span.span_id) == 16 and span.span_id.strip("0") for span in spans)


@given(EVENTS)
def test_nothing_says_who_asked(event: Event) -> None:
    names = {name for span in course(event).spans for name in span.attributes}
    assert not {name for name in names if name.startswith(("user.", "client.", "helixflow.key"))}


class TestIngress:
    def test_a_request_without_a_caller_is_a_trace_of_its_own(self) -> None:
        root = course(ended()).spans[0]
        assert (root.trace_id, root.span_id, root.parent_id) == (
            own_trace_id(REQUEST), own_span_id(REQUEST), "",
        )  # fmt: skip

    def test_a_callers_trace_goes_on(self) -> None:
        caller = replace(CALLER, state="a=1")
        root, *stages = course(ended(traced=Traced(caller=caller))).spans
        assert (root.trace_id, root.parent_id, root.remote) == (
            CALLER.trace_id, CALLER.span_id, True,
        )  # fmt: skip
        assert {span.state for span in (root, *stages)} == {"a=1"}

    def test_stages_and_their_times(self) -> None:
        stages = {"authenticate": 0.25, "first_token": 0.5, "rest": 1.0, "settle": 0.125}
        assert steps(ended(stages=stages, traced=Traced(receive_s=0.125))) == [
            ("receive", -2.0, -1.875),
            ("authenticate", -1.875, -1.625),
            ("first_token", -1.625, -1.125),
            ("stream", -1.125, -0.125),
            ("settle", -0.125, 0.0),
        ]

    def test_what_broke_off_before_its_answer_says_so(self) -> None:
        names = [name for name, *_ in steps(ended("engine_died", {"reserve": 0.1, "rest": 2.0}))]
        assert names == ["receive", "reserve", "unfinished"]

    def test_attributes_are_those_of_the_conventions(self) -> None:
        event = ended(usage=Usage(3, 5, 1), first_token_s=0.5)
        root = course(event).spans[0]
        assert (root.name, root.kind) == ("POST /v1/chat/completions", "server")
        assert root.attributes == {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "http.route": "/v1/chat/completions",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "helixflow",
            "gen_ai.request.model": "echo-1",
            "gen_ai.request.stream": True,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.response.model": "echo-1",
            "gen_ai.response.time_to_first_chunk": 0.5,
            "gen_ai.usage.cache_read.input_tokens": 1,
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 5,
            "helixflow.outcome": "ok",
            "helixflow.request.id": REQUEST,
        }

    @pytest.mark.parametrize(
        ("outcome", "first_token_s", "status"),
        [
            ("ok", 0.5, 200),
            ("ok", None, 200),
            ("engine_died", 0.5, 200),
            ("canceled", 0.5, 200),
            ("canceled", None, None),
            ("engine_died", None, 503),
            ("rate_limit_exceeded", None, 429),
            ("model_not_found", None, 404),
            ("deadline_exceeded", None, 504),
            ("a_later_word", None, None),
        ],
    )
    def test_the_status_is_the_one_that_went_out_if_any(
        self, outcome: str, first_token_s: float | None, status: int | None
    ) -> None:
        root = course(ended(outcome, first_token_s=first_token_s)).spans[0]
        assert root.attributes.get("http.response.status_code") == status

    @pytest.mark.parametrize(
        ("outcome", "failed", "fault"),
        [("canceled", False, ""), ("slow_reader", True, "slow_reader")],
    )
    def test_an_end_after_the_whole_answer_is_a_delivery_in_vain(
        self, outcome: str, fault: str, *, failed: bool
    ) -> None:
        stages = {"first_token": 0.5, "rest": 2.0, "settle": 0.5}
        caller = replace(CALLER, state="a=1")
        first, second = (
            course(ended(how, of, traced=Traced(caller=caller), whole_s=whole_s))
            for how, of, whole_s in (
                ("ok", {"first_token": 0.5, "rest": 1.0}, None),
                (outcome, stages, 1.5),
            )
        )
        (deliver,) = second.spans
        assert deliver.span_id not in {span.span_id for span in first.spans}
        assert (deliver.name, deliver.kind, deliver.state) == ("deliver", "internal", "a=1")
        assert (deliver.trace_id, deliver.parent_id) == (CALLER.trace_id, own_span_id(REQUEST))
        assert (deliver.start - NOW, deliver.end - NOW) == (-1.5, 0.0)
        assert (second.failed, deliver.error) == (failed, fault)
        assert deliver.attributes["helixflow.outcome"] == outcome
        assert deliver.attributes.get("error.type") == (outcome if failed else None)

    def test_a_call_through_a_handle_is_no_http_request(self) -> None:
        root = course(ended(traced=Traced("m", "completions", "handle"))).spans[0]
        assert root.name == "completions"
        assert root.attributes["gen_ai.operation.name"] == "text_completion"
        assert not [name for name in root.attributes if name.startswith("http.")]

    def test_who_asked_is_said_where_the_event_says_it(self) -> None:
        who = Personal("org_1", "proj_1", "key_1", "user_1", "192.0.2.1")
        root = course(ended(traced=Traced(personal=who))).spans[0]
        told = ("helixflow.organization.id", "helixflow.project.id", "helixflow.key.id", "user.id")
        assert [root.attributes[name] for name in (*told, "client.address")] == [
            "org_1", "proj_1", "key_1", "user_1", "192.0.2.1",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("outcome", "failed", "fault"),
        [
            ("ok", False, ""),
            ("canceled", False, ""),
            ("model_not_found", True, ""),
            ("rate_limit_exceeded", True, ""),
            ("engine_died", True, "engine_died"),
            ("deadline_exceeded", True, "deadline_exceeded"),
            ("internal_error", True, "internal_error"),
        ],
    )
    def test_only_the_platforms_own_faults_are_errors_of_it(
        self, outcome: str, failed: bool, fault: str
    ) -> None:
        for event in (ended(outcome), generated(outcome)):
            told = course(event)
            assert (told.failed, told.spans[0].error) == (failed, fault)
            assert told.spans[0].attributes.get("error.type") == (outcome if failed else None)


class TestModel:
    def test_its_span_is_a_part_of_the_ingresss(self) -> None:
        whole = course(generated(parent=CALLER.parent)).spans[0]
        assert (whole.trace_id, whole.parent_id) == (CALLER.trace_id, own_span_id(REQUEST))
        assert whole.remote
        assert course(generated()).spans[0].trace_id == own_trace_id(REQUEST)

    def test_two_replicas_that_tried_are_two_spans(self) -> None:
        first, second = course(generated(), 1), course(generated(), 2)
        assert {s.span_id for s in first.spans}.isdisjoint(s.span_id for s in second.spans)

    def test_stages_and_their_times(self) -> None:
        assert steps(generated(duration_s=2.0)) == [
            ("queue", -2.0, -1.75), ("prefill", -1.75, -1.5), ("decode", -1.5, 0.0),
        ]  # fmt: skip

    def test_without_a_first_token_there_is_nothing_to_decode(self) -> None:
        assert steps(generated("engine_died", first_token_s=None)) == [
            ("queue", -1.0, -0.75), ("prefill", -0.75, 0.0),
        ]  # fmt: skip

    def test_attributes(self) -> None:
        whole = course(generated(operation="completions")).spans[0]
        assert whole.attributes["gen_ai.operation.name"] == "text_completion"
        assert whole.attributes["helixflow.replica"] == "replica-1"
        assert whole.attributes["gen_ai.usage.output_tokens"] == 5


def test_other_events_tell_nothing() -> None:
    assert course_of(Event(EventKind.REQUEST_ADMITTED, NOW, REQUEST, {}), SOURCE, 1, {}) is None


def test_facts_of_the_wrong_kind_are_refused() -> None:
    event = Event(EventKind.REQUEST_GENERATED, NOW, REQUEST, {"queue_s": "long"})
    with pytest.raises(ValueError):
        course_of(event, SOURCE, 1, STATUSES)
