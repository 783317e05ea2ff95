from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.limits.frames import Fault, Reading, frame, read_frames

payloads = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def read(path: Path, data: bytes) -> tuple[list[bytes], Reading]:
    path.write_bytes(data)
    reading = Reading()
    return list(read_frames(path, reading)), reading


@given(payloads, st.integers(0, 300))
def test_a_file_that_is_cut_anywhere_gives_the_frames_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, written: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut"
    data = b"".join(frame(payload) for payload in written)
    found, reading = read(path, data[:cut])
    assert found == written[: len(found)]
    whole = b"".join(frame(payload) for payload in found)
    assert reading.good_bytes == len(whole)
    assert (reading.fault is None) == (len(whole) == min(cut, len(data)))
    assert reading.fault in (None, Fault.TORN)


@given(payloads, st.integers(0, 300), st.integers(1, 255))
def test_a_byte_that_changed_is_never_read_as_data(
    tmp_path_factory: pytest.TempPathFactory, written: list[bytes], place: int, flip: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    data = bytearray(b"".join(frame(payload) for payload in written))
    if place >= len(data):
        return
    data[place] ^= flip
    found, reading = read(path, bytes(data))
    assert found == written[: len(found)]
    assert len(found) < len(written)
    assert reading.fault is Fault.DAMAGED


def test_zeros_are_damage(tmp_path: Path) -> None:
    found, reading = read(tmp_path / "zeros", frame(b"x") + bytes(24))
    assert (found, reading.fault) == ([b"x"], Fault.DAMAGED)
