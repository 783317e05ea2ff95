"""Reading records back: nothing before damage is lost, and nothing is invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.telemetry.records import OVERHEAD_BYTES, PAYLOAD_BYTES_MAX, Codec

CODEC = Codec("ingress-1")
payload_lists = st.lists(st.binary(max_size=60), min_size=1, max_size=8)


def written(payloads: list[bytes], codec: Codec = CODEC) -> bytes:
    return b"".join(codec.encode(number, each) for number, each in enumerate(payloads, 1))


def read(data: bytes, after: int = 0, *, final: bool = True) -> list[tuple[int, bytes]]:
    return [(one.sequence, one.payload) for one in CODEC.scan(data, after, final=final)]


def ends(payloads: list[bytes]) -> list[int]:
    total, found = 0, []
    for each in payloads:
        total += OVERHEAD_BYTES + len(each)
        found.append(total)
    return found


@given(payload_lists)
def test_what_is_written_is_read_back(payloads: list[bytes]) -> None:
    assert read(written(payloads)) == list(enumerate(payloads, 1))


@given(payload_lists, st.data())
def test_a_file_cut_anywhere_loses_what_was_cut_and_nothing_else(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = written(payloads)
    cut = data.draw(st.integers(0, len(whole)))
    complete = sum(end <= cut for end in ends(payloads))
    assert read(whole[:cut]) == list(enumerate(payloads, 1))[:complete]


@given(payload_lists, st.data())
def test_a_flipped_bit_loses_its_record_and_nothing_else(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = bytearray(written(payloads))
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    struck = next(number for number, end in enumerate(ends(payloads), 1) if bit // 8 < end)
    expected = [one for one in enumerate(payloads, 1) if one[0] != struck]
    assert read(bytes(whole)) == expected


@given(payload_lists, st.data())
def test_bytes_written_over_any_part_invent_nothing(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = written(payloads)
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start, len(whole)))
    damaged = whole[:start] + data.draw(st.binary(max_size=80)) + whole[stop:]
    before = sum(end <= start for end in ends(payloads))
    found = read(damaged)
    assert found[:before] == list(enumerate(payloads, 1))[:before]
    assert set(found) <= set(enumerate(payloads, 1))
    assert found == sorted(found)


def test_a_payload_that_looks_like_a_record_is_never_taken_for_one() -> None:
    forged = Codec("somebody-else").encode(7, b"forged")
    whole = bytearray(CODEC.encode(1, forged) + CODEC.encode(2, b"true"))
    whole[3] ^= 1  # so that reading goes on inside the first payload
    assert read(bytes(whole)) == [(2, b"true")]


def test_a_record_that_comes_again_is_passed_over() -> None:
    one = CODEC.encode(1, b"a")
    assert read(one + one + CODEC.encode(2, b"b")) == [(1, b"a"), (2, b"b")]
    assert read(one + CODEC.encode(2, b"b"), after=1) == [(2, b"b")]


def test_a_part_of_a_file_ends_at_the_last_whole_record() -> None:
    whole = written([b"a" * 30, b"b" * 30])
    assert read(whole[:-1], final=False) == [(1, b"a" * 30)]


def test_a_payload_has_a_bound() -> None:
    assert read(CODEC.encode(1, b"x" * PAYLOAD_BYTES_MAX))
    with pytest.raises(ValueError, match="at most"):
        CODEC.encode(1, b"x" * (PAYLOAD_BYTES_MAX + 1))
