from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import (
    Breach,
    DeadlineExceeded,
    HelixFlowError,
    InvalidRequest,
    QuotaExceeded,
    Refusal,
    Refused,
    Unavailable,
)

seconds = st.none() | st.floats(0, 1e6)
refusals = st.builds(
    Refused.from_wire,
    st.tuples(st.sampled_from([one.value for one in Refusal]), st.text(), st.none() | st.text(), seconds),
)  # fmt: skip


@given(refusals)
def test_a_refusal_comes_back_from_the_wire_as_it_was(refused: Refused) -> None:
    back = Refused.from_wire(refused.to_wire())
    assert type(back) is type(refused)
    assert back.to_wire() == refused.to_wire()
    assert str(back) == refused.message


@given(refusals)
def test_a_refusal_survives_pickling(refused: Refused) -> None:
    back = pickle.loads(pickle.dumps(refused))
    assert type(back) is type(refused)
    assert back.to_wire() == refused.to_wire()


@given(st.text().filter(lambda name: name not in set(Refusal)), st.text())
def test_a_reason_of_another_version_keeps_its_message(name: str, message: str) -> None:
    refused = Refused.from_wire((name, message, "model", 2.0))
    assert type(refused) is Refused
    assert refused.to_wire() == ("internal_error", message, "model", 2.0)


@pytest.mark.parametrize("reason", [one for one in Refusal if one is not Refusal.INTERNAL_ERROR])
def test_every_reason_has_a_class_of_its_own(reason: Refusal) -> None:
    assert type(Refused.from_wire((reason.value, "", None, None))) is not Refused


def test_reasons_stand_in_alphabetical_order_and_are_words() -> None:
    assert [one.name for one in Refusal] == sorted(one.name for one in Refusal)
    assert all(one.value.replace("_", "").isalpha() for one in Refusal)


def test_a_refusal_carries_its_facts() -> None:
    refused = QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "Slow down.", retry_after_s=2.5)
    assert (refused.reason, refused.message, refused.param, refused.retry_after_s) == (
        Refusal.RATE_LIMIT_EXCEEDED, "Slow down.", None, 2.5,
    )  # fmt: skip
    assert isinstance(refused, HelixFlowError)


def test_a_deadline_says_what_was_late_and_how_long_it_had() -> None:
    error = DeadlineExceeded.of("The request", 600.0)
    assert error.message == "The request took longer than 600 s."
    assert error.reason is Refusal.DEADLINE_EXCEEDED


def test_a_reason_decides_the_class_whatever_it_was_raised_as() -> None:
    raised = Refused(Refusal.INVALID_VALUE, "no", param="n")
    assert isinstance(Refused.from_wire(raised.to_wire()), InvalidRequest)
    lost = Refused(Refusal.ENGINE_DIED, "lost")
    assert isinstance(Refused.from_wire(lost.to_wire()), Unavailable)


def test_a_breach_of_a_limit_crosses_a_process_border() -> None:
    breach = Breach("requests_per_minute", "key=key_1", 100, 100, 12.5)
    refused = QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "No.", retry_after_s=1.0, breach=breach)
    back = Refused.from_wire(refused.to_wire())
    assert isinstance(back, QuotaExceeded)
    assert back.breach == breach
