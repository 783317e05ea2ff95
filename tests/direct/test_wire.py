from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.direct.wire import (
    MESSAGE_BYTES_MAX,
    Cutter,
    Garbled,
    Kind,
    pack_frame,
    pack_request,
    unpack_end,
    unpack_request,
)
from helixflow.errors import Breach, QuotaExceeded, Refusal, Refused
from helixflow.ids import RequestId
from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.load import Load
from helixflow.inference.quota import ServiceClass
from helixflow.inference.request import EngineRequest, Operation
from helixflow.inference.usage import Usage

COUNTS = st.integers(0, 2**40)
REFUSALS = st.builds(
    QuotaExceeded,
    st.just(Refusal.QUEUE_FULL),
    st.text(),
    param=st.none() | st.text(),
    retry_after_s=st.none() | st.floats(0, 1e6),
    breach=st.none()
    | st.builds(Breach, st.text(), st.text(), st.floats(0, 9), st.floats(0, 9), st.floats(0, 9)),
)
SIDECARS = st.builds(
    Sidecar,
    st.builds(Usage, COUNTS, COUNTS, COUNTS),
    st.text(),
    st.builds(Load, COUNTS, COUNTS, st.floats(0, 1)),
    st.none() | REFUSALS,
)
FRAMES = st.builds(Frame, st.binary(max_size=300), st.none() | SIDECARS)
REQUESTS = st.builds(
    EngineRequest,
    st.text().map(RequestId),
    st.sampled_from(Operation),
    st.binary(max_size=300),
    st.text(),
    st.booleans(),
    st.text(),
    st.floats(0, 1e6),
    st.text(),
    st.floats(0.001, 1e3),
    st.sampled_from(ServiceClass),
    COUNTS,
    st.integers(1, 128),
    st.text(),
)


def facts(refused: Refused | None) -> object:
    return None if refused is None else refused.to_wire()


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(whole) + 1) for cut in cuts} | {0, len(whole)})
    return [whole[begin:end] for begin, end in pairwise(ends)]


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 4000), max_size=12))
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    frames: list[Frame], cuts: list[int]
) -> None:
    cutter, found = Cutter(), []
    for piece in pieces(b"".join(pack_frame(frame.to_wire()) for frame in frames), cuts):
        found += cutter.feed(piece)
    back = [
        Frame.from_wire(unpack_end(payload)) if kind == Kind.END else Frame(payload)
        for kind, payload in found
    ]
    assert [frame.data for frame in back] == [frame.data for frame in frames]
    for mine, theirs in zip(back, frames, strict=True):
        if theirs.sidecar is None or mine.sidecar is None:
            assert mine.sidecar is theirs.sidecar is None
            continue
        assert (mine.sidecar.usage, mine.sidecar.load) == (
            theirs.sidecar.usage,
            theirs.sidecar.load,
        )
        assert mine.sidecar.finish_reason == theirs.sidecar.finish_reason
        assert _listed(facts(mine.sidecar.refused)) == _listed(facts(theirs.sidecar.refused))


def _listed(value: object) -> object:
    return [_listed(each) for each in value] if isinstance(value, tuple | list) else value


@given(REQUESTS, st.sampled_from([Kind.UNARY, Kind.STREAM]))
def test_a_request_comes_out_as_it_went_in(request: EngineRequest, kind: Kind) -> None:
    [(found, payload)] = Cutter().feed(pack_request(kind, request.to_wire()))
    assert (found, EngineRequest.from_wire(unpack_request(payload))) == (kind, request)


@given(st.binary(min_size=5, max_size=5))
def test_what_is_no_message_is_given_up(head: bytes) -> None:
    if head[0] in set(Kind) and int.from_bytes(head[1:], "big") <= MESSAGE_BYTES_MAX:
        assert Cutter().feed(head) in ([], [(head[0], b"")])
        return
    with pytest.raises(Garbled):
        Cutter().feed(head)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x01"])
def test_a_payload_that_is_no_table_is_given_up(payload: bytes) -> None:
    with pytest.raises(Garbled):
        unpack_request(payload)
    with pytest.raises(Garbled):
        unpack_end(payload)
