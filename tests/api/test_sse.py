from __future__ import annotations

import pytest

from helixflow.api.sse import DONE, Decoder, event


def test_an_event_is_one_line_and_an_empty_one() -> None:
    assert event(b'{"a":1}') == b'data: {"a":1}\n\n'
    assert event(b"[DONE]") == DONE


def test_events_are_given_as_soon_as_they_are_whole() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"da")) == []
    assert list(decoder.feed(b"ta: 1\n")) == []
    assert list(decoder.feed(b"\ndata:2\n\ndata: 3")) == [b"1", b"2"]


def test_comments_and_other_fields_are_passed_over() -> None:
    raw = b": keep-alive\n\nevent: x\nid: 5\ndata: 1\nretry: 3\n\n"
    assert list(Decoder().feed(raw)) == [b"1"]


def test_data_of_several_lines_is_joined() -> None:
    assert list(Decoder().feed(b"data: a\r\ndata: b\r\n\r\n")) == [b"a\nb"]


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 40, b"data: xxxxxxxxxx\n" * 4])
def test_an_event_without_end_is_refused(raw: bytes) -> None:
    decoder = Decoder(pending_bytes_max=32)
    with pytest.raises(ValueError, match="longer than 32 bytes"):
        list(decoder.feed(raw)) + list(decoder.feed(raw))
