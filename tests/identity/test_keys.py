from __future__ import annotations

import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import Refusal
from helixflow.identity import keys
from helixflow.identity.keys import (
    KEY_LENGTH_MAX,
    KeyKind,
    NewKey,
    digest,
    mac,
    mint,
    parse,
)

KINDS = st.sampled_from(KeyKind)
FORM = re.compile(r"hx-(proj|svc|adm)-[0-9A-Za-z]{49}")


@given(KINDS)
def test_a_minted_key_parses_as_its_kind(kind: KeyKind) -> None:
    made = mint(kind)
    text = made.secret.reveal()
    assert FORM.fullmatch(text)
    assert len(text) <= KEY_LENGTH_MAX
    assert parse(text) is kind
    assert made.digest == digest(text) == hashlib.sha256(text.encode()).digest()


@given(KINDS, st.data())
def test_any_changed_character_is_refused(kind: KeyKind, data: st.DataObject) -> None:
    text = mint(kind).secret.reveal()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda character: character != text[place]))
    assert parse(text[:place] + other + text[place + 1 :]) is Refusal.INVALID_API_KEY


@given(KINDS, st.data())
def test_any_two_neighbours_swapped_are_refused(kind: KeyKind, data: st.DataObject) -> None:
    text = mint(kind).secret.reveal()
    place = data.draw(st.integers(0, len(text) - 2))
    left, right = text[place], text[place + 1]
    swapped = text[:place] + right + left + text[place + 2 :]
    assert swapped == text or parse(swapped) is Refusal.INVALID_API_KEY


@given(KINDS, st.data())
def test_a_missing_or_an_extra_character_is_refused(kind: KeyKind, data: st.DataObject) -> None:
    text = mint(kind).secret.reveal()
    place = data.draw(st.integers(0, len(text) - 1))
    assert parse(text[:place] + text[place + 1 :]) is Refusal.INVALID_API_KEY
    extra = data.draw(st.characters())
    assert parse(text[:place] + extra + text[place:]) is Refusal.INVALID_API_KEY


@given(st.text() | st.text(alphabet="hx-projsvcadm0Az", min_size=50, max_size=60))
def test_arbitrary_text_is_refused_and_breaks_nothing(text: str) -> None:
    assert parse(text) is Refusal.INVALID_API_KEY


def test_a_checksum_over_foreign_characters_does_not_make_a_key() -> None:
    stem = "hx-proj-" + "!" * 43
    assert parse(stem + keys._checksum(stem)) is Refusal.INVALID_API_KEY


def test_keys_do_not_repeat() -> None:
    assert len({mint(KeyKind.PROJECT).digest for _ in range(200)}) == 200


def test_a_key_is_not_shown_by_what_holds_it() -> None:
    made = mint(KeyKind.PROJECT)
    text = made.secret.reveal()
    assert text not in repr(made)
    assert isinstance(made, NewKey)


def test_the_hint_gives_four_characters_at_each_end() -> None:
    made = mint(KeyKind.SERVICE)
    text = made.secret.reveal()
    assert made.hint == f"{text[: len('hx-svc-') + 4]}...{text[-4:]}"


def test_the_stored_mac_is_an_hmac_of_the_digest_under_the_pepper() -> None:
    made = mint(KeyKind.ADMIN)
    expected = hmac.new(b"pepper", made.digest, "sha256").digest()
    assert mac(b"pepper", made.digest) == expected
    assert mac(b"another", made.digest) != expected


@pytest.mark.parametrize("text", ["\ud800", "", "é", "x" * 10_000])
def test_any_text_has_a_digest(text: str) -> None:
    assert len(digest(text)) == 32
