from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.answers import PlainAnswer, StreamAnswer
from benchmarks.load.plan import Expected
from benchmarks.systems.ready_answers import stream_events, whole


def plain(body: bytes, tokens: int = 16, status: int = 200) -> tuple[int, str]:
    answer = PlainAnswer(Expected(tokens))
    answer.feed(body, 0.0)
    return answer.verdict(status)


def stream(pieces: list[bytes], tokens: int = 3) -> StreamAnswer:
    answer = StreamAnswer(Expected(tokens, streamed=True))
    for at, piece in enumerate(pieces):
        answer.feed(piece, float(at))
    return answer


def test_a_right_answer_has_its_tokens_and_no_error() -> None:
    assert plain(whole(16)) == (16, "")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (whole(15), 200, "wrong_tokens"),
        (b'{"choices":[],"usage":{"completion_tokens":16}}', 200, "bad_body"),
        (b'{"choices":[{}],"usage":null}', 200, "bad_body"),
        (b"<html>", 200, "bad_body"),
        (b"", 200, "bad_body"),
        (whole(16), 503, "status_503"),
    ],
)
def test_a_wrong_answer_is_named(body: bytes, status: int, error: str) -> None:
    assert plain(body, status=status)[1] == error


def test_a_status_that_was_asked_for_is_right() -> None:
    answer = PlainAnswer(Expected(0, status=401))
    assert answer.verdict(401) == (0, "")


def test_a_stream_has_the_times_of_its_text_and_not_of_its_role() -> None:
    answer = stream(stream_events(3))
    assert answer.verdict(200) == (3, "")
    assert (answer.first_at, answer.last_at) == (1.0, 3.0)
    assert (answer.deliveries, answer.gaps_s) == (3, [1.0, 1.0])


def test_events_that_come_together_are_one_delivery() -> None:
    events = stream_events(3)
    answer = stream([b"".join(events[:3]), b"".join(events[3:])])
    assert answer.verdict(200) == (3, "")
    assert (answer.deliveries, answer.gaps_s) == (2, [1.0])


@given(st.lists(st.integers(min_value=0), max_size=30))
def test_a_stream_is_judged_the_same_however_it_is_cut(cuts: list[int]) -> None:
    raw = b"".join(stream_events(3))
    places = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    answer = stream([raw[a:b] for a, b in itertools.pairwise(places)])
    assert answer.verdict(200) == (3, "")


@pytest.mark.parametrize(
    ("events", "error"),
    [
        (stream_events(3)[:-1], "no_done"),
        (stream_events(2), "wrong_tokens"),
        ([b'data: {"error":{"message":"died"}}\n\n', b"data: [DONE]\n\n"], "error_event"),
        ([stream_events(1)[0], *stream_events(1)[2:]], "no_text"),
        ([stream_events(3)[1], b"data: [DONE]\n\n"], "bad_body"),
    ],
)
def test_a_wrong_stream_is_named(events: list[bytes], error: str) -> None:
    assert stream(events).verdict(200)[1] == error


def test_a_stream_that_was_refused_is_named_by_its_status() -> None:
    assert stream([b"{}"]).verdict(429) == (0, "status_429")


def test_a_refusal_that_was_asked_for_is_right() -> None:
    answer = StreamAnswer(Expected(0, streamed=True, status=429))
    assert answer.verdict(429) == (0, "")
