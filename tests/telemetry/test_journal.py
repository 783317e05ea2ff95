from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.settings import JournalSettings
from helixflow.telemetry.journal import Journal
from helixflow.telemetry.journal_lock import JournalLock
from helixflow.telemetry.records import PAYLOAD_BYTES_MAX, Codec
from helixflow.telemetry.segments import (
    Extent,
    Found,
    Place,
    Segment,
    path_of,
    read,
    start,
    survey,
    without,
)

SOURCE = "ingress-1"
SMALL = JournalSettings(segment_bytes=64 * 1024, bytes_max=256 * 1024)
HALF = b"x" * (40 * 1024)  # two of them fill a segment


def opened(root: Path, settings: JournalSettings = SMALL) -> Journal:
    return Journal(root, SOURCE, settings)


def read_all(journal: Journal, after: int = 0, **bounds: int) -> list[Found]:
    """Everything behind a number, as a shipment reads it."""
    return read_from(journal.folder, journal.codec, journal.extent, after, **bounds)


def read_from(
    folder: Path, codec: Codec, extent: Extent, after: int = 0, events: int = 100, size: int = 2**20
) -> list[Found]:
    found: list[Found] = []
    place = start(extent, after)
    while True:
        found.append(read(folder, codec, extent, place, events, size))
        place = found[-1].place
        if found[-1].last == found[-1].after:
            return found[:-1]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """A disk that fills up: no file of this process may grow beyond `size`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestWriting:
    def test_records_are_numbered_from_one_and_read_back(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        assert journal.last == 0
        assert journal.extent == Extent()
        assert all(journal.append(each) for each in (b"a", b"b", b"c"))
        (found,) = read_all(journal)
        assert (found.after, found.last, found.events) == (0, 3, (b"a", b"b", b"c"))

    def test_segments_are_begun_anew_and_deleted_when_released(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        for _ in range(5):
            assert journal.append(HALF)
        assert [segment.first for segment in journal.extent.segments] == [1, 3, 5]
        assert journal.release(1) == []
        assert journal.release(3) == [path_of(journal.folder, 1)]
        assert [segment.first for segment in journal.extent.segments] == [3, 5]
        assert journal.release(5) == [path_of(journal.folder, 3)]
        assert journal.release(5) == []
        (found,) = read_all(journal, after=4)
        assert (found.last, found.events) == (5, (HALF,))

    def test_files_are_for_their_owner_alone(self, tmp_path: Path) -> None:
        journal = opened(tmp_path / "deep" / "root")
        journal.append(b"a")
        assert journal.folder.stat().st_mode & 0o077 == 0
        assert path_of(journal.folder, 1).stat().st_mode & 0o077 == 0

    def test_its_bytes_have_a_bound_until_some_are_released(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        while journal.append(HALF):
            assert not journal.full
        assert journal.full
        assert journal.last == 6
        assert not journal.append(HALF)
        journal.release(2)
        assert journal.append(HALF)
        assert not journal.full
        assert journal.last == 7

    def test_a_payload_over_the_bound_of_a_record_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError):
            opened(tmp_path).append(b"x" * (PAYLOAD_BYTES_MAX + 1))

    def test_a_folder_that_cannot_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError):
            opened(tmp_path / "file")

    def test_two_journals_cannot_have_one_source(self, tmp_path: Path) -> None:
        first = opened(tmp_path)
        first.append(b"a")
        with pytest.raises(OSError):
            opened(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [SOURCE]


class TestAFullDisk:
    def test_a_record_that_does_not_fit_leaves_nothing_and_later_ones_go_on(
        self, tmp_path: Path
    ) -> None:
        journal = opened(tmp_path)
        journal.append(b"a" * 100)
        size = path_of(journal.folder, 1).stat().st_size
        with files_end_at(size + 10):
            assert not journal.append(b"b" * 100)
            assert journal.full
            assert path_of(journal.folder, 1).stat().st_size == size
        assert journal.append(b"c" * 100)
        assert not journal.full
        (found,) = read_all(journal)
        assert (found.last, found.events) == (2, (b"a" * 100, b"c" * 100))

    def test_it_is_said_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        journal = opened(tmp_path)
        with files_end_at(10):
            assert not journal.append(b"b" * 100)
            assert not journal.append(b"b" * 100)
        assert len(caplog.records) == 1
        assert os.strerror(errno.EFBIG) in caplog.text

    def test_a_first_segment_that_cannot_be_made_is_tried_again(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        path_of(journal.folder, 1).mkdir()
        assert not journal.append(b"a")
        assert journal.extent == Extent()
        path_of(journal.folder, 1).rmdir()
        assert journal.append(b"a")

    def test_half_a_record_that_cannot_be_taken_back_is_left_behind(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        path_of(journal.folder, 1).symlink_to("/dev/full")  # takes no byte, and cannot be cut
        assert not journal.append(b"a")
        path_of(journal.folder, 1).unlink()
        assert journal.append(b"a")
        assert [found.last for found in read_all(journal)] == [1]


class TestReading:
    def test_a_batch_ends_at_its_bounds(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        for _ in range(5):
            journal.append(b"x" * 10)
        assert [found.last for found in read_all(journal, events=2)] == [2, 4, 5]
        assert [found.last for found in read_all(journal, size=35)] == [3, 5]
        assert [found.last for found in read_all(journal, size=1)] == [1, 2, 3, 4, 5]

    def test_it_goes_back_to_any_number(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        for _ in range(5):
            journal.append(HALF)
        for after in range(6):
            assert sum(len(found.events) for found in read_all(journal, after)) == 5 - after

    def test_what_is_appended_later_is_found_behind(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        journal.append(b"a")
        place = read_all(journal)[-1].place
        journal.append(b"b")
        found = read(journal.folder, journal.codec, journal.extent, place, 10, 1000)
        assert (found.after, found.last, found.events) == (1, 2, (b"b",))

    def test_a_gap_parts_two_batches(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        for each in (b"a", b"b", b"c"):
            journal.append(each)
        path = path_of(journal.folder, 1)
        path.write_bytes(path.read_bytes().replace(b"b", b"B"))
        first, second = read_all(journal)
        assert (first.after, first.last, first.events) == (0, 1, (b"a",))
        assert (second.after, second.last, second.events) == (1, 3, (b"c",))

    def test_a_lost_segment_is_a_gap(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        for _ in range(5):
            journal.append(HALF)
        path_of(journal.folder, 3).unlink()
        assert [(found.after, found.last) for found in read_all(journal)] == [(0, 2), (2, 5)]

    def test_a_lost_end_is_passed_over(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        journal.append(b"a")
        journal.append(b"b")
        os.truncate(path_of(journal.folder, 1), 0)
        (found,) = read_all(journal)
        assert (found.after, found.last, found.events) == (0, 2, ())

    def test_damage_longer_than_what_is_read_at_a_time_is_passed_over(self, tmp_path: Path) -> None:
        journal = opened(tmp_path, JournalSettings(segment_bytes=2**20, bytes_max=2**22))
        for _ in range(20):
            journal.append(HALF)
        path = path_of(journal.folder, 1)
        data = bytearray(path.read_bytes())
        data[50_000:700_000] = bytes(650_000)
        path.write_bytes(data)
        first, second = read_all(journal)
        assert (first.after, first.last) == (0, 1)
        assert (second.after, second.last, len(second.events)) == (1, 20, 2)

    def test_a_segment_without_permission_is_an_error(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        journal.append(b"a")
        path_of(journal.folder, 1).unlink()
        path_of(journal.folder, 1).mkdir()
        with pytest.raises(IsADirectoryError):
            read_all(journal)


class TestOrphans:
    def test_a_journal_is_adopted_when_its_process_is_gone(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        for _ in range(3):
            journal.append(HALF)
        assert list(JournalLock.orphans(tmp_path, 0.0)) == []
        journal.close(0)
        (lock,) = JournalLock.orphans(tmp_path, 0.0)
        codec = Codec(lock.folder.name)
        extent = survey(lock.folder, codec)
        assert extent.last == 3
        assert [found.last for found in read_from(lock.folder, codec, extent)] == [3]
        assert list(JournalLock.orphans(tmp_path, 0.0)) == []
        lock.release()
        (lock,) = JournalLock.orphans(tmp_path, 0.0)
        lock.remove()
        assert list(tmp_path.iterdir()) == []

    def test_a_closed_journal_that_was_released_leaves_nothing(self, tmp_path: Path) -> None:
        journal = opened(tmp_path)
        journal.append(b"a")
        journal.close(1)
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_one_holds_nothing(self, tmp_path: Path) -> None:
        assert survey(tmp_path, Codec(SOURCE)) == Extent()
        (tmp_path / "x.events").write_text("")
        assert survey(tmp_path, Codec(SOURCE)) == Extent()

    def test_a_folder_that_never_got_its_name_goes_after_a_while(self, tmp_path: Path) -> None:
        unborn = tmp_path / ".ingress-2"
        unborn.mkdir()
        (unborn / "lock").write_text("")
        born = unborn.stat().st_mtime
        assert list(JournalLock.orphans(tmp_path, born + 60)) == []
        assert unborn.exists()
        assert list(JournalLock.orphans(tmp_path, born + 7200)) == []
        assert not unborn.exists()

    def test_other_things_in_the_folder_are_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "a file").write_text("")
        (tmp_path / "a folder").mkdir()
        assert list(JournalLock.orphans(tmp_path, 0.0)) == []
        assert list(JournalLock.orphans(tmp_path / "nowhere", 0.0)) == []

    @given(st.lists(st.binary(max_size=50), min_size=1, max_size=6), st.data())
    def test_one_that_was_cut_anywhere_is_read_up_to_there(
        self, tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], data: st.DataObject
    ) -> None:
        journal = opened(tmp_path_factory.mktemp("journals"))
        sizes = []
        for each in payloads:
            journal.append(each)
            sizes.append(journal.extent.segments[0].size)
        cut = data.draw(st.integers(0, sizes[-1]))
        os.truncate(path_of(journal.folder, 1), cut)
        extent = survey(journal.folder, journal.codec)
        whole = sum(size <= cut for size in sizes)
        assert extent.last == whole
        events = [e for f in read_from(journal.folder, journal.codec, extent) for e in f.events]
        assert events == payloads[:whole]
        journal.close(len(payloads))


@given(st.lists(st.integers(1, 50), unique=True, max_size=6), st.integers(0, 60))
def test_a_segment_is_kept_while_it_may_hold_a_wanted_event(firsts: list[int], up_to: int) -> None:
    segments = tuple(Segment(first, 1) for first in sorted(firsts))
    extent = Extent(segments, 55)
    kept = without(extent, up_to).segments
    lasts = [segment.first - 1 for segment in segments[1:]] + [55]
    wanted = [one for one, last in zip(segments, lasts, strict=False) if last > up_to]
    assert list(kept) == wanted


def test_reading_begins_in_the_segment_that_holds_the_number() -> None:
    assert start(Extent(), 5) == Place(5, 0, 0)
