from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.crypto.aes_gcm import Box
from helixflow.crypto.master_key import SealBroken
from helixflow.telemetry.content.sealing import Content, Text, cut, entry_key, seal, unseal

KEY = b"s" * 32
PLACE = ("org_1", "proj_1", "req_1")
texts = st.builds(lambda data, more: Text(data, len(data) + more), st.binary(), st.integers(0, 9))


@given(st.text(), st.integers(0, 20))
def test_a_cut_text_is_the_longest_beginning_that_is_text(text: str, limit: int) -> None:
    whole = text.encode()
    kept = cut(whole, limit)
    assert text.startswith(kept.decode())
    assert len(kept) <= limit or kept == whole
    following = text[len(kept.decode()) :][:1].encode()
    assert len(kept) + len(following) > limit or kept == whole


@given(st.binary(), st.integers(0, 20))
def test_what_is_no_text_is_cut_all_the_same(data: bytes, limit: int) -> None:
    kept = cut(data, limit)
    assert data.startswith(kept)
    assert min(limit, len(data)) - 3 <= len(kept) <= limit or kept == data


def test_no_representation_shows_what_was_said() -> None:
    said = Text(b"the word", 8)
    assert "the word" not in repr(Content(said, said))


@given(st.builds(Content, texts, texts))
def test_what_was_sealed_opens_as_it_was(content: Content) -> None:
    sealed = seal(content, KEY, *PLACE)
    assert unseal(sealed, KEY, *PLACE) == content
    assert content.request.truncated == (content.request.size > len(content.request.data))


@given(st.binary(min_size=8), st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_can_be_changed_and_nothing_lies_in_clear(
    data: bytes, place: int, flip: int
) -> None:
    sealed = seal(Content(Text(data, len(data)), Text(data, len(data))), KEY, *PLACE)
    assert data not in sealed
    spoiled = bytearray(sealed)
    spoiled[place % len(spoiled)] ^= flip
    with pytest.raises(SealBroken):
        unseal(bytes(spoiled), KEY, *PLACE)


def test_it_opens_in_its_own_place_and_under_its_own_key_alone() -> None:
    key, empty = entry_key(KEY, "req_1"), Text(b"", 0)
    sealed = seal(Content(empty, empty), key, *PLACE)
    others = [(key, ("org_2", "proj_1", "req_1")), (key, ("org_1", "proj_2", "req_1"))]
    others += [(key, ("org_1", "proj_1", "req_2")), (entry_key(KEY, "req_2"), PLACE)]
    others += [(entry_key(b"t" * 32, "req_1"), PLACE)]
    for other, place in others:
        with pytest.raises(SealBroken):
            unseal(sealed, other, *place)


@pytest.mark.parametrize("plain", [b"not compressed", zlib.compress(b"no content")])
def test_what_is_no_content_does_not_open(plain: bytes) -> None:
    empty = seal(Content(Text(b"", 0), Text(b"", 0)), KEY, *PLACE)
    assert unseal(empty, KEY, *PLACE).answer.size == 0
    from helixflow.telemetry.content.sealing import _place

    with pytest.raises(SealBroken):
        unseal(Box(KEY).seal(plain, _place(*PLACE)), KEY, *PLACE)
