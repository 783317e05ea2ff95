from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from helixflow.api.sse import DONE, Decoder, event

documents = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=2), max_size=6
)


@settings(deadline=None)
@given(documents, st.lists(st.integers(0, 400), max_size=12), st.booleans())
def test_events_are_read_back_however_the_bytes_are_cut(
    trees: list[dict[str, str]], cuts: list[int], with_carriage_returns: bool
) -> None:
    sent = [json.dumps(tree).encode() for tree in trees]
    stream = b"".join(event(data) for data in sent) + DONE
    if with_carriage_returns:
        stream = stream.replace(b"\n", b"\r\n")
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    decoder = Decoder()
    read = [data for begin, end in pairwise(places) for data in decoder.feed(stream[begin:end])]
    assert read == [*sent, b"[DONE]"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=8))
def test_any_bytes_can_be_fed_and_nothing_grows_past_the_bound(pieces: list[bytes]) -> None:
    decoder = Decoder(pending_bytes_max=64)
    for piece in pieces:
        try:
            for data in decoder.feed(piece):
                assert isinstance(data, bytes)
        except ValueError:
            return
