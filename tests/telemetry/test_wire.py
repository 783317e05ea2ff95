from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.signals import Event, EventKind
from helixflow.telemetry.wire import Unreadable, decode_event, encode_event, join, split

facts = st.dictionaries(
    st.text(max_size=10),
    st.text(max_size=10)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.none(),
    max_size=5,
)
events = st.builds(
    Event, st.sampled_from(EventKind), st.floats(0, 1e10), st.text(max_size=20), facts
)


@given(st.lists(events, max_size=5))
def test_events_travel_in_batches_as_they_are(told: list[Event]) -> None:
    encoded = [encode_event(event) for event in told]
    assert [decode_event(each) for each in encoded] == told
    assert split(join(encoded)) == told


def test_an_event_of_a_later_version_leaves_the_others_readable() -> None:
    known = encode_event(Event(EventKind.REQUEST_ENDED, 1.0, "req_1", {}))
    strange = msgspec.msgpack.encode((1, "dream.ended", 1.0, "req_1", {}))
    first, second, third = split(join([known, strange, known]))
    assert isinstance(first, Event)
    assert first == third
    assert second == Unreadable(strange)
    assert isinstance(second, Unreadable)


@pytest.mark.parametrize("body", [b"", b"\xdd\x00", b"{}", join([b"\xc1"])])
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        split(body)


def test_what_is_no_fact_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        encode_event(Event(EventKind.REQUEST_ENDED, 1.0, "req_1", {"a": object()}))  # type: ignore[dict-item]
