from __future__ import annotations

import os
from pathlib import Path

import pytest

from helixflow.ids import OrganizationId
from helixflow.limits.book import Book
from helixflow.limits.frames import frame
from helixflow.limits.journal import Journal, boot_id
from helixflow.limits.ports import Ask, CounterId
from helixflow.limits.segments import JournalBusy, Segments
from helixflow.settings import LimitsSettings

SETTINGS = LimitsSettings()
BYTES_MAX = 8_192


def counter(scope: str = "organization", name: str = "requests_per_hour") -> CounterId:
    return CounterId(OrganizationId("org_1"), name, scope)


class Opened:
    """A book with its journal, at a time of the store's clock that the test moves."""

    def __init__(
        self,
        folder: Path,
        boot: str = "boot-1",
        date: float = 1_000_000.0,
        monotonic: float = 50.0,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self.journal = Journal(folder, bytes_max, boot)
        self.book, self.offset = self.journal.open(lambda: Book(SETTINGS), date, monotonic)
        self.date = date
        self.at = monotonic + self.offset
        self.number = dict(self.book.holders()).get("h", 0)

    def take(
        self,
        amount: int = 1,
        scope: str = "organization",
        limit: int = 1_000,
        name: str = "requests_per_hour",
    ) -> int:
        """Take a lease, journal it; returns what is left."""
        self.number += 1
        ask = Ask(counter(scope, name), limit, self.number, amount, amount, 5.0)
        grants, changes = self.book.exchange("h", self.number, 0, [[ask]], self.at)
        self.journal.append(self.book, self.at, self.date, "h", self.number, changes)
        return grants[0][0].remaining

    def take_often(self, times: int) -> None:
        for _ in range(times):
            self.take()

    def left(self, scope: str = "organization", name: str = "requests_per_hour") -> int:
        self.number += 1
        ask = Ask(counter(scope, name), 1_000)
        grants, _ = self.book.exchange("h", self.number, 0, [[ask]], self.at)
        return grants[0][0].remaining

    def state(self) -> dict[CounterId, object]:
        """All counters, as of now: what is over by its time is ended."""
        looks = [[Ask(id_, 1_000)] for id_ in self.book.ids()]
        self.number += 1
        self.book.exchange("h", self.number, 0, looks, self.at)
        return {id_: self.book.dump(id_) for id_ in self.book.ids()}


def listed(state: dict[CounterId, object]) -> str:
    """Without the difference between tuples and lists, and in one order."""
    return repr(sorted(state.items(), key=str)).replace("(", "[").replace(")", "]")


def last_segment(folder: Path) -> Path:
    return max(folder.glob("*.journal"))


def test_what_was_granted_is_known_after_a_restart(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    assert first.book.lost_at is None
    first.take(10)
    first.take(20, "key=a")
    before = listed(first.state())
    first.journal.close()
    second = Opened(tmp_path)
    assert listed(second.state()) == before
    assert second.left() == 990
    assert dict(second.book.holders())["h"] >= 2


def test_a_frame_that_was_cut_short_is_dropped_and_writing_goes_on_after_it(
    tmp_path: Path,
) -> None:
    first = Opened(tmp_path)
    first.take(10)
    first.journal.close()
    with last_segment(tmp_path).open("ab") as file:
        file.write(frame(b"x" * 50)[:30])
    second = Opened(tmp_path)
    second.take(5)
    second.journal.close()
    third = Opened(tmp_path)
    assert third.book.lost_at is None
    assert third.left() == 985


def test_damage_and_absence_are_known_losses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def stranger(path: Path) -> None:
        path.write_bytes(frame(b"\x91\xa7strange"))

    for spoil in (flip, Path.unlink, stranger):
        folder = tmp_path / spoil.__name__
        first = Opened(folder)
        first.take(10)
        first.take(10)
        first.journal.close()
        spoil(last_segment(folder))
        second = Opened(folder, monotonic=80.0)
        assert second.book.lost_at == 80.0
        assert second.left() == 0
        second.journal.close()
        third = Opened(folder, monotonic=90.0)
        assert third.book.lost_at == 80.0, "the loss is remembered"
        third.journal.close()
    assert len(caplog.records) == 3


def test_a_journal_of_another_generation_is_no_past(tmp_path: Path) -> None:
    for name in ("one", "two"):
        opened = Opened(tmp_path / name)
        opened.take(10)
        opened.journal.close()
    last_segment(tmp_path / "two").replace(last_segment(tmp_path / "one"))
    assert Opened(tmp_path / "one").book.lost_at is not None


def test_the_clock_goes_on_whatever_the_date_says(tmp_path: Path) -> None:
    first = Opened(tmp_path, date=1_000_000.0, monotonic=50.0)
    first.take(10)
    first.journal.close()
    second = Opened(tmp_path, date=9_000_000.0, monotonic=80.0)
    assert second.at == 80.0
    assert second.left() == 990
    second.journal.close()
    assert Opened(tmp_path, date=10.0, monotonic=20.0).at >= 50.0, "it never goes back"


def test_after_a_boot_the_date_says_how_much_time_passed_and_minutes_count_as_full(
    tmp_path: Path,
) -> None:
    first = Opened(tmp_path, date=1_000_000.0, monotonic=5_000.0)
    first.take(10)
    first.journal.close()
    second = Opened(tmp_path, "boot-2", date=1_000_600.0, monotonic=3.0)
    assert second.at == pytest.approx(5_600.0)
    assert second.book.shaken_at == pytest.approx(5_600.0)
    assert second.left() == 990
    assert second.left(name="requests_per_minute") == 0
    second.journal.close()
    third = Opened(tmp_path, "boot-3", date=1.0, monotonic=3.0)
    assert third.at == pytest.approx(5_600.0), "a date that went back is no time"


def test_after_a_boot_and_a_restart_minutes_still_count_as_full(tmp_path: Path) -> None:
    minute = "requests_per_minute"
    first = Opened(tmp_path)
    first.take(10, name=minute)
    first.journal.close()
    second = Opened(tmp_path, "boot-2", date=2_000_000.0, monotonic=3.0)
    second.journal.close()
    third = Opened(tmp_path, "boot-2", date=2_000_001.0, monotonic=4.0)
    assert third.left(name=minute) == 0
    third.at += 121.0
    assert third.left(name=minute) == 1_000


def test_it_stays_bounded_and_whole_while_segments_follow_each_other(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    largest = 0
    for turn in range(600):
        first.take(1, f"key={turn % 20}")
        first.at += 5.0
        largest = max(largest, first.journal.size_bytes)
        if turn % 97 == 0:
            before = listed(first.state())
            first.journal.close()
            first = Opened(tmp_path, monotonic=first.at - first.offset)
            assert listed(first.state()) == before
    assert largest < 8 * BYTES_MAX
    numbers = sorted(int(path.stem) for path in tmp_path.glob("*.journal"))
    assert numbers[0] > 1, "old segments are removed"


def test_a_following_segment_that_is_not_whole_yet_needs_the_one_before(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    while len(list(tmp_path.glob("*.journal"))) < 2:
        first.take(1, f"key={first.number}")
    before = listed(first.state())
    first.journal.close()
    second = Opened(tmp_path)
    assert listed(second.state()) == before
    for _ in range(20):
        second.take(1)
    assert len(list(tmp_path.glob("*.journal"))) == 1
    before = listed(second.state())
    second.journal.close()
    assert listed(Opened(tmp_path).state()) == before


def test_a_following_segment_that_cannot_be_begun_is_tried_again(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    obstacle = tmp_path / "00000002.journal"
    obstacle.mkdir()
    with pytest.raises(IsADirectoryError):
        first.take_often(500)
    obstacle.rmdir()
    first.take_often(20)
    before = listed(first.state())
    first.journal.close()
    assert obstacle.exists()
    assert listed(Opened(tmp_path).state()) == before


def test_damage_in_a_segment_that_is_not_the_last_is_a_loss_too(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    while len(list(tmp_path.glob("*.journal"))) < 2:
        first.take(1, f"key={first.number}")
    first.journal.close()
    data = min(tmp_path.glob("*.journal")).read_bytes()
    min(tmp_path.glob("*.journal")).write_bytes(data[:-3])
    second = Opened(tmp_path)
    assert second.book.lost_at is not None
    second.journal.close()
    min(tmp_path.glob("*.journal")).write_bytes(b"")
    assert Opened(tmp_path).book.lost_at is not None


def test_a_counter_that_was_noted_is_known(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    first.take(10)
    first.book.load(counter(), (*first.book.dump(counter())[:3], 77.0), first.at)
    first.journal.note(first.book, first.at, first.date, counter())
    before = listed(first.state())
    first.journal.close()
    assert listed(Opened(tmp_path).state()) == before


def test_two_processes_do_not_write_one_journal(tmp_path: Path) -> None:
    first = Opened(tmp_path)
    with pytest.raises(JournalBusy):
        Opened(tmp_path)
    first.journal.close()
    Opened(tmp_path)


def test_a_write_that_fails_leaves_no_half_frame(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    segments.lock()
    segments.lock()  # it has it already
    segments.begin(1, b"one")
    read_end, write_end = os.pipe()
    os.close(read_end)
    good, segments._file = segments._file, write_end  # a file that cannot be written
    with pytest.raises(OSError, match="pipe"):
        segments.append(b"two")
    os.close(write_end)
    segments._file = good
    with segments.path(1).open("ab") as file:
        file.write(b"half")
    segments.append(b"three")
    segments.close()
    assert segments.path(1).read_bytes() == frame(b"one") + frame(b"three")
    with pytest.raises(OSError, match="closed"):
        segments.append(b"four")


def test_a_folder_that_cannot_be_locked_says_why(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(IsADirectoryError):
        Segments(tmp_path).lock()


def test_this_machines_boot_has_a_name_that_stays() -> None:
    assert boot_id() == boot_id() != ""
