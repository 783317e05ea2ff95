from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from helixflow.ids import OrganizationId
from helixflow.limits.ports import Answer, Ask, CounterId, End, Grant
from helixflow.limits.wire import answer_of, answer_wire, exchange_of, exchange_wire

T = TypeVar("T")

_amounts = st.integers(0, 2**53)
_times = st.floats(0, 1e6)
_names = st.text(max_size=12)
_counters = st.builds(CounterId, _names.map(OrganizationId), _names, _names)
_asks = st.builds(
    Ask,
    _counters,
    _amounts,
    _amounts,
    _amounts,
    _amounts,
    _times,
    st.lists(st.builds(End, _amounts, _amounts, st.booleans()), max_size=3).map(tuple),
    _amounts,
    _amounts,
    _amounts,
)
_grants = st.builds(Grant, _amounts, _times, _amounts, _times, _times)
_answers = st.builds(
    Answer,
    st.lists(st.lists(_grants, max_size=3).map(tuple), max_size=3),
    st.lists(_counters, max_size=3).map(tuple),
)


def wired(value: T) -> T:
    arrived: T = pickle.loads(pickle.dumps(value))
    return arrived


@given(_names, st.lists(st.lists(_asks, max_size=3), max_size=3))
def test_an_exchange_crosses_a_process_border(holder: str, groups: list[list[Ask]]) -> None:
    assert exchange_of(wired(exchange_wire(holder, 7, 6, groups))) == (holder, 7, 6, groups)


@given(st.none() | _answers)
def test_an_answer_crosses_a_process_border(answer: Answer | None) -> None:
    assert answer_of(wired(answer_wire(answer))) == answer


@given(_asks, _answers)
def test_an_older_ingress_is_understood_and_told_what_it_knows(ask: Ask, answer: Answer) -> None:
    _, holder, number, acked, ((asked,),) = exchange_wire("h", 7, 6, [[ask]])
    older = (1, holder, number, acked, ((asked[:10],),))
    assert exchange_of(older) == ("h", 7, 6, [[replace(ask, waiting=0, renews=0)]])
    wire = answer_wire(answer, 1)
    assert len(wire) == 2
    assert answer_of(wire) == replace(answer, recalled=())
