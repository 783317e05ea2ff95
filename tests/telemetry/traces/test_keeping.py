from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.ids import mint_request_id
from helixflow.inference.trace import TraceContext
from helixflow.inference.trace_facts import Traced
from helixflow.settings import TracesSettings
from helixflow.signals import Event
from helixflow.telemetry.traces.keeping import Keeping
from helixflow.telemetry.traces.span import Span
from helixflow.telemetry.traces.stages import Course, course_of

from .strategies import CALLER, ENDED, GENERATED, STATUSES, ended, generated

UNKEPT = TraceContext(CALLER.trace_id, CALLER.span_id, sampled=False)


def keeping(**settings: Any) -> Keeping:
    return Keeping(TracesSettings(endpoint="http://receiver", **settings))


def course(event: Event, number: int = 1) -> Course:
    found = course_of(event, "source", number, STATUSES)
    assert found is not None
    return found


def kept(keeping: Keeping, *events: Event) -> list[Span]:
    courses = [course(event, number) for number, event in enumerate(events)]
    return [span for each in courses for span in keeping.take(each)]


def test_what_went_well_and_fast_is_not_kept() -> None:
    assert kept(keeping(), ended(), generated()) == []


def test_what_its_caller_keeps_is_kept() -> None:
    traced = Traced(caller=CALLER)
    assert kept(keeping(), ended(traced=traced))
    assert kept(keeping(), generated(parent=CALLER.parent))
    assert not kept(keeping(follow_caller=False), ended(traced=traced))
    assert not kept(keeping(sample_ratio=1.0), ended(traced=Traced(caller=UNKEPT)))
    assert kept(keeping(sample_ratio=1.0, follow_caller=False), ended(traced=Traced(caller=UNKEPT)))


def test_all_and_nothing_by_ratio() -> None:
    assert kept(keeping(sample_ratio=1.0), ended(request=mint_request_id()))
    assert not kept(keeping(sample_ratio=0.0), ended(request="req_" + "0" * 32))


@given(st.floats(0, 1), st.integers(1, 16**32 - 1))
def test_both_ends_of_a_request_decide_the_same_by_ratio(ratio: float, number: int) -> None:
    request = f"req_{number:032x}"
    one = kept(keeping(sample_ratio=ratio), ended(request=request))
    other = kept(keeping(sample_ratio=ratio), generated(request=request))
    assert bool(one) == bool(other)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 16**32 - 1))
def test_a_larger_share_keeps_what_a_smaller_one_does(a: float, b: float, number: int) -> None:
    event = ended(request=f"req_{number:032x}")
    if kept(keeping(sample_ratio=min(a, b)), event):
        assert kept(keeping(sample_ratio=max(a, b)), event)


def test_a_share_is_about_that_many() -> None:
    half = keeping(sample_ratio=0.5)
    chance = Random(1)
    requests = [f"req_{chance.getrandbits(128):032x}" for _ in range(200)]
    times = sum(bool(kept(half, ended(request=each))) for each in requests)
    assert 70 < times < 130


def test_slow_and_failed_requests_are_kept_whole_whichever_end_comes_first() -> None:
    slow, fine = ended(stages={"rest": 30.0}), generated()
    for order in ((slow, fine), (fine, slow)):
        names = {span.name for span in kept(keeping(), *order)}
        assert {"POST /v1/chat/completions", "generate echo-1", "decode"} <= names
    names = {span.name for span in kept(keeping(), ended(), generated("engine_died"))}
    assert {"POST /v1/chat/completions", "generate echo-1"} <= names


WITHOUT_CALLER = (ENDED | GENERATED).filter(lambda event: course(event).caller is None)


@given(st.lists(WITHOUT_CALLER, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_if_one_end_is_kept_all_are_and_each_once(events: list[Event], random: Any) -> None:
    courses = [course(event, number) for number, event in enumerate(events)]
    random.shuffle(courses)
    keeper = keeping()
    out = [span for each in courses for span in keeper.take(each)]
    wanted = [span for each in courses for span in each.spans]
    if any(each.failed or each.seconds >= 30.0 for each in courses):
        assert sorted(map(repr, out)) == sorted(map(repr, wanted))
    else:
        assert out == []


@pytest.mark.parametrize("outcome", ["canceled", "slow_reader"])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("slow", [False, True])
def test_a_request_that_ends_twice_has_each_span_once(
    outcome: str, ratio: float, *, slow: bool
) -> None:
    """However it was kept: by its share, because it was slow, or because its delivery failed."""
    whole_s = 30.0 if slow else 1.0
    first = ended(stages={"first_token": 0.5, "rest": whole_s - 0.5}, first_token_s=0.5)
    second = ended(outcome, {"first_token": 0.5, "rest": whole_s, "settle": 0.25}, whole_s=whole_s)
    spans = kept(keeping(sample_ratio=ratio), first, generated(), second)
    wanted = ratio == 1.0 or slow or outcome != "canceled"
    assert len({span.span_id for span in spans}) == len(spans) == (9 if wanted else 0)
    roots = [span for span in spans if span.name.startswith("POST ")]
    late = [span for span in spans if span.name == "deliver"]
    assert (len(roots), len(late)) == ((1, 1) if wanted else (0, 0))


def test_memory_is_bounded_in_both_directions() -> None:
    keeper = keeping(joined_max=2)
    requests = [mint_request_id() for _ in range(3)]
    assert not kept(keeper, *[generated(request=each) for each in requests])
    assert len(kept(keeper, ended("engine_died", request=requests[0]))) == 4  # its other end went
    assert len(kept(keeper, ended("engine_died", request=requests[2]))) == 8
    assert kept(keeper, ended("engine_died", request=requests[1]))
    assert not kept(keeper, generated(request=requests[0]))
    assert kept(keeper, generated(request=requests[1]))
