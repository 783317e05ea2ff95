from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.deadline import Deadline
from helixflow.inference.usage import Usage
from helixflow.testing.identity import some_principal

times = st.floats(0, 1e6)


@given(times, times, times)
def test_what_is_left_of_a_deadline_is_never_negative(
    start: float, limit_s: float, later: float
) -> None:
    deadline = Deadline.after(start, limit_s)
    assert deadline.limit_s == limit_s
    left = deadline.remaining_s(start + later)
    assert left >= 0
    assert left == 0 or start + later < deadline.at


def test_total_tokens_are_those_read_and_those_written() -> None:
    assert Usage(3, 5, cached_tokens=2).total_tokens == 8


def test_a_caller_without_a_list_sees_every_model_and_one_with_an_empty_list_none() -> None:
    assert some_principal().may_see("m")
    assert some_principal(models=frozenset({"m"})).may_see("m")
    assert not some_principal(models=frozenset({"m"})).may_see("n")
    assert not some_principal(models=frozenset()).may_see("m")
