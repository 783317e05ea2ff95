from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.telemetry.audit import canonical
from helixflow.telemetry.audit.canonical import NotCanonical
from helixflow.telemetry.audit.record import Kind, Outcome, Part, Record

from .strategies import records


@given(records())
def test_a_record_comes_back_from_its_bytes(record: Record) -> None:
    assert canonical.decode(canonical.encode(record)) == record


@given(records(), records())
def test_two_records_never_share_their_bytes(one: Record, other: Record) -> None:
    assert (canonical.encode(one) == canonical.encode(other)) == (one == other)


@given(records())
def test_the_form_is_what_the_standard_library_writes(record: Record) -> None:
    data = canonical.encode(record)
    plain = json.loads(data)
    again = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert again.encode() == data


@given(records(), st.data())
def test_any_other_bytes_are_another_record_or_none(record: Record, data: st.DataObject) -> None:
    good = canonical.encode(record)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(NotCanonical):
        assert canonical.decode(bytes(bad)) != record


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told | {"more": 1},
        lambda told: told | {"count": 1},  # the default is left out
        lambda told: {name: told[name] for name in reversed(told)},
        lambda told: told | {"kind": "gossip"},
        lambda told: told | {"at_ms": 1.5},
        lambda told: [told],
    ],
)
def test_other_forms_of_a_record_are_refused(change: Any) -> None:
    record = Record("project:key:create", Part(id="system"), at_ms=7, chain="org", sequence=1)
    told = json.loads(canonical.encode(record))
    canonical.decode(json.dumps(told, separators=(",", ":")).encode())
    with pytest.raises(NotCanonical):
        canonical.decode(json.dumps(change(told), separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"action":"a","actor":{}} ']
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(data)


def test_a_field_that_comes_twice_is_refused() -> None:
    data = canonical.encode(Record("a", Part(), chain="org"))
    with pytest.raises(NotCanonical):
        canonical.decode(data[:-1] + b',"chain":"org"}')


def test_the_words_of_a_record_are_part_of_the_format() -> None:
    fields = [field.name for field in msgspec.structs.fields(Record)]
    assert fields == sorted(fields)
    assert list(Kind) == ["administration", "authentication", "authorization"]
    assert list(Outcome) == ["denied", "done", "failed"]
