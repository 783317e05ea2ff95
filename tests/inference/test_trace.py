from __future__ import annotations

import contextvars

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.ids import mint_request_id
from helixflow.inference.bearings import bearings, take_bearings
from helixflow.inference.request import EngineRequest, Operation
from helixflow.inference.trace import TraceContext, own_span_id, own_trace_id
from helixflow.inference.trace_facts import Personal, Traced

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


STATES = st.sampled_from(["", "a=1", "a=1,b=2"])
CONTEXTS = st.builds(TraceContext, hexadecimal(32), hexadecimal(16), st.booleans(), STATES)
TRACED = st.builds(
    Traced,
    st.sampled_from(["", "echo-1"]),
    st.sampled_from([each.value for each in Operation]),
    st.sampled_from(["http", "handle"]),
    st.booleans(),
    st.floats(0, 10),
    st.none() | CONTEXTS,
    st.none() | st.builds(Personal, *[st.text(max_size=5)] * 5),
)


class TestContexts:
    def test_the_example_of_the_standard(self) -> None:
        context = TraceContext.of(PARENT, "congo=t61rcWkgMzE")
        assert context == TraceContext(TRACE, SPAN, sampled=True, state="congo=t61rcWkgMzE")

    @given(CONTEXTS)
    def test_what_is_written_is_read_again(self, context: TraceContext) -> None:
        assert TraceContext.of(context.parent, context.state) == context

    @given(st.text(max_size=80))
    def test_anything_else_is_no_context(self, text: str) -> None:
        context = TraceContext.of(text)
        assert context is None or context.trace_id in text

    @pytest.mark.parametrize(
        "parent",
        ["", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
         f"{PARENT}-more", PARENT.upper(), PARENT[:-1], f"00-{TRACE}-{SPAN}", f"{PARENT}\n"],
    )  # fmt: skip
    def test_what_the_standard_forbids_is_none(self, parent: str) -> None:
        assert TraceContext.of(parent) is None

    def test_a_later_version_is_read_as_far_as_ours_goes(self) -> None:
        assert TraceContext.of(f"cc-{TRACE}-{SPAN}-09-what-comes") == TraceContext.of(PARENT)
        assert TraceContext.of(f"cc-{TRACE}-{SPAN}-09what") is None

    @pytest.mark.parametrize("flags", ["00", "02", "fe"])
    def test_only_the_last_bit_says_that_it_is_kept(self, flags: str) -> None:
        context = TraceContext.of(f"00-{TRACE}-{SPAN}-{flags}")
        assert context is not None
        assert not context.sampled

    @pytest.mark.parametrize("state", ["a=" + "1" * 512, "a=1\r\nx: y"])
    def test_a_state_that_is_too_long_or_odd_is_dropped_and_the_context_stands(
        self, state: str
    ) -> None:
        assert TraceContext.of(PARENT, state) == TraceContext.of(PARENT)

    def test_headers_are_put_together(self) -> None:
        headers = [
            (b"tracestate", b"a=1"), (b"traceparent", PARENT.encode()), (b"tracestate", b"b=2"),
        ]  # fmt: skip
        assert TraceContext.within(headers) == TraceContext.of(PARENT, "a=1,b=2")
        assert TraceContext.within([*headers, (b"traceparent", PARENT.encode())]) is None
        assert TraceContext.within([(b"accept", b"*/*")]) is None

    def test_what_is_handed_on_names_the_ingresss_own_span(self) -> None:
        request_id = mint_request_id()
        below = TraceContext(TRACE, SPAN, sampled=False, state="a=1").below(request_id)
        assert below == TraceContext(TRACE, own_span_id(request_id), sampled=False, state="a=1")


def test_a_request_without_a_context_is_a_trace_by_its_id() -> None:
    request_id = mint_request_id()
    own = TraceContext(own_trace_id(request_id), own_span_id(request_id), sampled=True)
    assert TraceContext.of(own.parent) == own
    assert request_id == f"req_{own.trace_id}"


def test_a_request_to_an_engine_carries_its_context() -> None:
    request = EngineRequest(
        mint_request_id(), Operation.CHAT, b"{}", "m", True, "org_1", 1.0, trace=PARENT
    )
    assert EngineRequest.from_wire(request.to_wire()) == request


class TestFacts:
    @given(TRACED)
    def test_are_read_as_they_were_written(self, traced: Traced) -> None:
        assert Traced.read(traced.facts()) == traced

    def test_of_another_kind_are_passed_over(self) -> None:
        assert Traced.read({"receive_s": "long", "trace_parent": 5, "stream": 1}) == Traced(door="")


def test_bearings_belong_to_the_task_that_took_them() -> None:
    request_id = mint_request_id()
    caller = TraceContext.of(PARENT)

    def take() -> tuple[str, str] | None:
        take_bearings(request_id, caller)
        return bearings()

    assert contextvars.copy_context().run(take) == (request_id, TRACE)
    assert bearings() is None

    def take_own() -> tuple[str, str] | None:
        take_bearings(request_id)
        return bearings()

    assert contextvars.copy_context().run(take_own) == (request_id, own_trace_id(request_id))
