"""An export is checked line by line; whatever was done to it is found and named."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.crypto.ed25519 import SigningSeed
from helixflow.telemetry.audit import lines
from helixflow.telemetry.audit.canonical import encode
from helixflow.telemetry.audit.chain import Head, Link, beginning, follow, link
from helixflow.telemetry.audit.seals import (
    Seal,
    Statement,
    StatementKind,
    read_seal,
    seal,
    seal_head,
    seals_among,
)
from helixflow.telemetry.audit.verify import Broken, lines_of, verify

from .strategies import CHAIN, SEED, linked, sealed, some_record, written

LINKS = linked(12)
FILE = written(LINKS, seal_every=5)
HELD = [seal_head(SEED, CHAIN, LINKS[9].head, 1)]


def rehashed(datas: list[bytes]) -> list[Link]:
    """A chain over other contents: what somebody makes who can hash and not sign."""
    head, links = beginning(CHAIN), []
    for data in datas:
        links.append(link(head, data))
        head = links[-1].head
    return links


def broken(file: list[bytes], **options: object) -> Broken:
    with pytest.raises(Broken) as found:
        verify(file, **options)  # type: ignore[arg-type]
    return found.value


class TestGood:
    def test_what_was_written_is_good(self) -> None:
        report = verify(FILE, HELD)
        assert (report.chain, report.first, report.last, report.records) == (CHAIN, 1, 12, 12)
        assert (report.dropped, report.seals, report.held, report.not_compared) == (0, 3, 1, 0)
        assert report.head == LINKS[-1].head.hash.hex()
        assert report.keys == (SEED.public.hex(),)
        assert report.pinned
        assert report.sealed_at_ms == 1_800_000_000_000
        assert not verify(FILE).pinned

    def test_an_empty_chain_is_good(self) -> None:
        report = verify(written([]))
        assert (report.first, report.last, report.records) == (1, 0, 0)

    def test_lines_are_read_from_a_file_one_by_one(self) -> None:
        assert verify(lines_of(io.BytesIO(b"".join(FILE)))).records == 12

    def test_a_part_is_good_if_a_seal_vouches_for_its_beginning(self) -> None:
        begin = LINKS[4].head
        part = [
            lines.header_line(CHAIN, begin, SEED.public),
            sealed(begin),
            *(lines.record_line(one.head.hash, one.data) for one in LINKS[5:]),
            sealed(LINKS[-1].head),
            lines.end_line(7),
        ]
        report = verify(part, [*HELD, seal_head(SEED, CHAIN, LINKS[2].head, 1)])
        assert (report.first, report.last, report.held, report.not_compared) == (6, 12, 1, 1)
        assert "vouches" in broken([part[0], *part[2:]]).what
        assert verify(part, [seal_head(SEED, CHAIN, begin, 1)]).held == 1

    def test_seals_of_other_chains_and_from_exports_can_be_held(self) -> None:
        other = seal_head(SEED, "org_other", Head(3, b"x" * 32), 1)
        held = [other, *seals_among(FILE)]
        report = verify(FILE, held)
        assert (report.held, report.not_compared) == (3, 1)


class TestTampering:
    @given(st.integers(0, len(b"".join(FILE)) - 1), st.integers(1, 255))
    def test_any_change_of_any_byte_is_found(self, place: int, by: int) -> None:
        data = bytearray(b"".join(FILE))
        data[place] ^= by
        broken(list(lines_of(io.BytesIO(bytes(data)))))

    @given(st.integers(0, len(FILE) - 1))
    def test_the_removal_of_any_line_but_a_seal_between_is_found(self, place: int) -> None:
        file = [*FILE[:place], *FILE[place + 1 :]]
        if FILE[place] in (FILE[6], FILE[12]):  # seals on the way; who holds one has it still
            assert verify(file, HELD).seals == 2
        else:
            broken(file)

    @given(st.integers(0, len(FILE)), st.sampled_from(FILE))
    def test_any_insertion_but_of_a_seal_in_its_place_is_found(
        self, place: int, line: bytes
    ) -> None:
        file = [*FILE[:place], line, *FILE[place:]]
        try:
            report = verify(file)
        except Broken:
            return
        assert line.startswith(b'{"public"')
        assert report.records == 12

    @given(st.permutations(range(1, 13)))
    def test_any_reordering_is_found(self, order: list[int]) -> None:
        records = [lines.record_line(LINKS[n - 1].head.hash, LINKS[n - 1].data) for n in order]
        file = [FILE[0], *records, *FILE[-2:]]
        if order == sorted(order):
            verify(file)
        else:
            found = broken(file)
            assert found.sequence == next(n for n, was in enumerate(order, 1) if n != was)

    @given(st.integers(1, 12))
    def test_a_changed_content_is_named(self, number: int) -> None:
        data = encode(some_record(number, name="x"))
        file = [
            line.replace(LINKS[number - 1].data, data) if LINKS[number - 1].data in line else line
            for line in FILE
        ]
        found = broken(file)
        assert found.sequence == number
        assert "hash does not follow" in found.what

    @given(st.integers(1, 11))
    def test_a_removed_record_is_named(self, number: int) -> None:
        gone = LINKS[number - 1].data
        found = broken([line for line in FILE if gone not in line])
        assert found.sequence == number
        assert "missing" in found.what

    def test_a_chain_that_is_hashed_anew_does_not_fit_its_seals(self) -> None:
        other = linked(12, "x")
        file = [
            FILE[0],
            *(lines.record_line(one.head.hash, one.data) for one in other),
            sealed(LINKS[-1].head),
            FILE[-1],
        ]
        assert "seal says another head" in broken(file).what

    def test_a_chain_that_somebody_else_sealed_is_found_by_who_knows_the_key(self) -> None:
        thief = SigningSeed(b"t" * 32)
        file = written(linked(12, "x"), 5, thief)
        assert verify(file).keys == (thief.public.hex(),)  # consistent, and no more than that
        assert "not trusted" in broken(file, trusted=[SEED.public]).what
        assert "not trusted" in broken(file, held=HELD).what

    @given(st.integers(0, 12))
    def test_a_cut_tail_is_found_by_whoever_holds_a_seal_over_it(self, kept: int) -> None:
        """Also where the platform itself wrote the shorter file."""
        file = written(LINKS[:kept], 5)
        assert verify(file).last == kept
        if kept >= 10:
            verify(file, HELD)
        else:
            found = broken(file, held=HELD)
            assert "missing" in found.what
            assert found.sequence == 10

    @given(st.integers(1, 10))
    def test_a_history_that_was_written_anew_is_found_by_whoever_holds_a_seal(
        self, number: int
    ) -> None:
        """By the platform itself, which can sign what it likes."""
        datas = [one.data for one in LINKS]
        datas[number - 1] = encode(some_record(number, name="x"))
        file = written(rehashed(datas), 5)
        assert verify(file).records == 12
        found = broken(file, held=HELD)
        assert (found.sequence, "held seal" in found.what) == (10, True)

    def test_records_of_another_chain_do_not_fit(self) -> None:
        foreign = lines.record_line(b"h" * 32, encode(some_record(1, chain="org_other")))
        found = broken([FILE[0], foreign, *FILE[2:]])
        assert (found.sequence, "org_other" in found.what) == (1, True)
        assert "org_other" in broken([*FILE[:-2], *_sealed("org_other"), FILE[-1]]).what

    def test_a_file_that_breaks_off_says_so(self) -> None:
        assert "breaks off" in broken([]).what
        assert "breaks off" in broken(FILE[:-1]).what
        assert "breaks off" in broken(FILE[:1]).what
        assert "cut off" in broken([*FILE[:-2], FILE[-2][:-1]]).what
        assert "no seal" in broken([*FILE[:-2], FILE[-1]]).what
        assert "has 11 records" in broken([*FILE[:-1], lines.end_line(11)]).what
        assert "after the end" in broken([*FILE, FILE[-1]]).what

    def test_what_is_no_export_is_said_to_be_none(self) -> None:
        assert "no export" in broken([b"hello\n"]).what
        assert "no export" in broken(FILE[1:]).what
        assert "format" in broken([FILE[0].replace(b"audit/1", b"audit/9"), *FILE[1:]]).what
        upper = FILE[0].replace(SEED.public.hex().encode(), SEED.public.hex().upper().encode())
        assert "hexadecimal" in broken([upper, *FILE[1:]]).what
        assert "first head" in broken([FILE[0].replace(b"org_one", b"org_two"), *FILE[1:]]).what
        assert "no record" in broken([FILE[0], b'{"hash":"x"}\n', *FILE[2:]]).what
        assert "none of the lines" in broken([FILE[0], b"?\n", *FILE[2:]]).what

    def test_the_error_names_the_record_and_the_line(self) -> None:
        gone = LINKS[6].data
        found = broken([line for line in FILE if gone not in line])
        assert str(found).startswith("record 7 (line 9): it is missing")


def _sealed(chain: str) -> list[bytes]:
    return [seal_head(SEED, chain, LINKS[-1].head, 1).line + b"\n"]


class TestSeals:
    def test_a_seal_is_read_as_it_was_signed(self) -> None:
        held = HELD[0]
        assert read_seal(held.line) == held
        assert held.statement.sequence == 10

    @given(st.integers(0, len(HELD[0].line) - 1), st.integers(1, 255))
    def test_a_changed_seal_is_none(self, place: int, by: int) -> None:
        data = bytearray(HELD[0].line)
        data[place] ^= by
        with pytest.raises(ValueError):
            read_seal(bytes(data))

    def test_lines_that_begin_like_none_are_passed_over(self) -> None:
        assert list(seals_among([b"x\n", HELD[0].line + b"\r\n"])) == HELD


def checkpoint(number: int, first: int, last: int, count: int, head: bytes | None = None) -> Seal:
    told = LINKS[last - 1].head.hash if head is None else head
    statement = Statement(
        5, CHAIN, count=count, first=first, head=told.hex(), kind=StatementKind.CHECKPOINT,
        number=number, of="authentication", sequence=last,
    )  # fmt: skip
    return seal(SEED, statement)


def with_drops(drops: dict[int, int], *checkpoints: Seal) -> list[bytes]:
    """The file with contents dropped: `{record: checkpoint}`."""
    begins: dict[int, list[bytes]] = {}
    for one in checkpoints:
        begins.setdefault(one.statement.first, []).append(one.line + b"\n")
    file = [FILE[0]]
    for number, one in enumerate(LINKS, 1):
        file += begins.get(number, [])
        if number in drops:
            file.append(lines.dropped_line(one.head.hash, one.digest, drops[number]))
        else:
            file.append(lines.record_line(one.head.hash, one.data))
    return [*file, *FILE[-2:]]


class TestDropped:
    def test_what_a_checkpoint_dropped_leaves_the_rest_provable(self) -> None:
        file = with_drops({2: 20, 4: 20, 3: 21}, checkpoint(20, 2, 4, 2), checkpoint(21, 3, 3, 1))
        report = verify(file, [*HELD, seal_head(SEED, CHAIN, LINKS[2].head, 1)])
        assert (report.records, report.dropped, report.held) == (12, 3, 2)

    @pytest.mark.parametrize(
        ("file", "words"),
        [
            (lambda: with_drops({2: 20}), "no checkpoint"),
            (lambda: with_drops({2: 21}, checkpoint(20, 2, 4, 1)), "no checkpoint"),
            (lambda: with_drops({2: 20, 6: 20}, checkpoint(20, 2, 4, 1)), "no checkpoint"),
            (lambda: with_drops({2: 20, 3: 20}, checkpoint(20, 2, 4, 1)), "and 2 were"),
            (lambda: with_drops({2: 20}, checkpoint(20, 2, 4, 2)), "and 1 were"),
            (lambda: with_drops({2: 20}, checkpoint(20, 2, 4, 1, b"x" * 32)), "another head"),
            (lambda: [FILE[0], checkpoint(20, 3, 4, 1).line + b"\n", *FILE[1:]], "at its place"),
            (
                lambda: with_drops({2: 20}, checkpoint(20, 2, 4, 1), checkpoint(20, 3, 4, 0)),
                "one twice",
            ),
        ],
    )
    def test_what_no_checkpoint_covers_is_found(
        self, file: Callable[[], list[bytes]], words: str
    ) -> None:
        assert words in broken(file()).what

    @given(st.integers(0, 200), st.integers(1, 255))
    def test_a_changed_line_of_a_dropped_record_is_found(self, place: int, by: int) -> None:
        file = with_drops({2: 20}, checkpoint(20, 2, 4, 1))
        line = bytearray(file[3])
        line[place % len(line)] ^= by
        broken([*file[:3], *lines_of(io.BytesIO(bytes(line))), *file[4:]])

    def test_digests_hold_the_chain_as_contents_do(self) -> None:
        assert follow(LINKS[0].head.hash, LINKS[1].digest) == LINKS[1].head.hash

    def test_a_number_that_is_too_long_is_none(self) -> None:
        line = lines.dropped_line(b"h" * 32, b"d" * 32, 7).replace(b":7}", b":" + b"7" * 30 + b"}")
        with pytest.raises(lines.NotALine):
            lines.read_dropped(line)
