from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.body import read_body
from helixflow.errors import Refusal, Refused
from helixflow.inference.request import Operation
from helixflow.testing.engine import engine_request

USER = {"role": "user", "content": "Hello"}
FAULTS: list[tuple[dict[str, Any], Refusal, str]] = [
    ({}, Refusal.MISSING_PARAMETER, "messages"),
    ({"messages": []}, Refusal.INVALID_VALUE, "messages"),
    ({"messages": "Hello"}, Refusal.INVALID_TYPE, "messages"),
    ({"messages": [{"role": "king"}]}, Refusal.INVALID_VALUE, "messages[0].role"),
    ({"messages": [USER, {"content": "x"}]}, Refusal.MISSING_PARAMETER, "messages[1].role"),
    ({"messages": [{"role": "user", "content": 3}]}, Refusal.INVALID_TYPE, "messages[0].content"),
    ({"messages": [USER], "n": 0}, Refusal.INVALID_VALUE, "n"),
    ({"messages": [USER], "n": "2"}, Refusal.INVALID_TYPE, "n"),
    ({"messages": [USER], "max_tokens": -1}, Refusal.INVALID_VALUE, "max_tokens"),
    ({"messages": [USER], "max_tokens": 10**12}, Refusal.INVALID_VALUE, "max_tokens"),
    ({"messages": [USER], "temperature": 3}, Refusal.INVALID_VALUE, "temperature"),
    ({"messages": [USER], "top_p": 0}, Refusal.INVALID_VALUE, "top_p"),
    (
        {"messages": [USER], "stream_options": {"include_usage": 1}},
        Refusal.INVALID_TYPE,
        "stream_options.include_usage",
    ),
]


@pytest.mark.parametrize(("body", "reason", "param"), FAULTS)
def test_a_bad_body_is_refused_with_its_place(
    body: dict[str, Any], reason: Refusal, param: str
) -> None:
    with pytest.raises(Refused) as caught:
        read_body(engine_request(body))
    assert (caught.value.reason, caught.value.param) == (reason, param)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"messages": [{"role": "user", "content": "\xff"}]}', b"nan"]
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_body(engine_request(body))
    assert caught.value.reason is Refusal.INVALID_JSON


def test_a_body_that_is_no_object_is_refused_without_a_place() -> None:
    with pytest.raises(Refused) as caught:
        read_body(engine_request(b"[1]"))
    assert (caught.value.reason, caught.value.param) == (Refusal.INVALID_TYPE, None)


def test_fields_that_are_not_checked_pass() -> None:
    body = {"messages": [USER], "tools": [{"anything": 1}], "logit_bias": "later"}
    read_body(engine_request(body))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_read_or_refused(value: object) -> None:
    for operation in Operation:
        for body in (json.dumps(value), json.dumps({"messages": value, "prompt": value})):
            with contextlib.suppress(Refused):
                read_body(engine_request(body.encode(), operation=operation))
