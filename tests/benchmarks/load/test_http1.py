from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.http1 import BadResponse, Response, encode
from benchmarks.load.plan import Target

COUNTED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n7;note=1\r\n, world\r\n0\r\nTrailer: x\r\n\r\n"
)


def read(response: Response, data: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parts = [data[a:b] for a, b in itertools.pairwise(places) if a != b]
    return b"".join(response.feed(part) for part in parts)


@given(st.lists(st.integers(min_value=0), max_size=40))
def test_a_counted_body_is_read_however_it_is_cut(cuts: list[int]) -> None:
    response = Response()
    assert read(response, COUNTED, cuts) == b"hello"
    assert (response.status, response.complete, response.keep_alive) == (200, True, True)


@given(st.lists(st.integers(min_value=0), max_size=60))
def test_a_chunked_body_is_read_however_it_is_cut(cuts: list[int]) -> None:
    response = Response()
    assert read(response, CHUNKED, cuts) == b"hello, world"
    assert response.complete


@given(st.lists(st.binary(min_size=1, max_size=50)), st.lists(st.integers(min_value=0)))
def test_any_chunks_come_out_as_they_went_in(chunks: list[bytes], cuts: list[int]) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    response = Response()
    assert read(response, head + body, cuts) == b"".join(chunks)
    assert response.complete


def test_a_body_that_has_not_ended_is_not_complete() -> None:
    response = Response()
    response.feed(COUNTED[:-1])
    assert not response.complete


def test_a_server_that_closes_is_noticed() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert (response.status, response.complete, response.keep_alive) == (503, True, False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SMTP hello\r\n\r\n", "bad_head"),
        (b"HTTP/1.1 OK\r\n\r\n", "bad_head"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "no_length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n", "bad_length"),
        (COUNTED + b"more", "bytes_after_answer"),
        (CHUNKED + b"more", "bytes_after_answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnine\r\n", "bad_chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "bad_chunk"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "head_too_long"),
    ],
)
def test_what_cannot_be_trusted_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadResponse, match=reason):
        Response().feed(data)


def test_bytes_after_a_whole_answer_are_refused() -> None:
    response = Response()
    response.feed(COUNTED)
    with pytest.raises(BadResponse, match="bytes_after_answer"):
        response.feed(b"x")


def test_a_request_carries_its_length_and_the_targets_headers() -> None:
    raw = encode(Target("127.0.0.1", 80, "/x", {"authorization": "Bearer k"}), b"{}")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n")[0] == b"POST /x HTTP/1.1"
    assert b"Content-Length: 2" in head
    assert b"authorization: Bearer k" in head
