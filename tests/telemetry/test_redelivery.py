"""Dead letters that are tried once more: written once, whatever dies between two steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.settings import HubSettings
from helixflow.signals import Event, EventKind
from helixflow.telemetry.dead_letters import DeadLetters, read_letter, rename
from helixflow.telemetry.lane import Lane
from helixflow.telemetry.ports import Indigestible
from helixflow.telemetry.redelivery import Redelivery
from helixflow.telemetry.tally import Tally
from helixflow.telemetry.wire import Unreadable, encode_event
from helixflow.testing.clock import ManualClock
from helixflow.testing.telemetry import MemorySink

from .hub_bench import SOURCE, event

AWAY = Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "away")


class Post:
    """Letters of one folder, and who tries them; anew each time, as after a death."""

    def __init__(self, folder: Path, *sinks: MemorySink) -> None:
        self.folder = folder / "dead-letters"
        self.sinks = sinks
        self.clock = ManualClock()
        self.letters = DeadLetters(self.folder, 10_000)

    async def lay(self, number: int, *, sink: str = "memory", given: bool = True) -> Path:
        """A letter; its own source is past it, where that is `given`."""
        await self.letters.write(sink, SOURCE, number, event(number), "Indigestible: no")
        for one in self.sinks:
            one.marks[SOURCE] = number if given else number - 1
        return self.folder / f"{sink}-{SOURCE}-{number}.json"

    async def turn(self) -> int:
        settings = HubSettings()

        async def nap(_: float) -> None: ...

        lanes = [
            Lane(sink, self.letters, Tally(10), settings, self.clock, nap) for sink in self.sinks
        ]
        return await Redelivery(lanes, self.letters, settings, self.clock, nap).turn()

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def post(tmp_path: Path, sink: MemorySink) -> Post:
    return Post(tmp_path, sink)


async def test_what_nobody_wants_lies_there(post: Post, sink: MemorySink) -> None:
    await post.lay(7)
    assert await post.turn() == 0
    assert (sink.held, post.names) == ([], [f"memory-{SOURCE}-7.json"])


async def test_what_is_wanted_is_written_and_gone(post: Post, sink: MemorySink) -> None:
    for number in (7, 8):
        rename(await post.lay(number), ".replay")
    assert await post.turn() == 2
    assert [one for _, _, one in sink.held] == [event(7), event(8)]
    assert sink.numbers("replay-memory") == [1, 2]
    assert post.names == []
    assert await post.turn() == 0


def refuse(_: Sequence[Event]) -> None:
    raise Indigestible("not now, not ever")


async def test_what_is_refused_again_lies_there_with_its_reason(
    post: Post, sink: MemorySink
) -> None:
    path = await post.lay(7)
    rename(path, ".replay")
    sink.before = refuse
    assert await post.turn() == 0
    assert post.names == [path.name]
    assert read_letter(path).reason == "Indigestible: not now, not ever"
    sink.before = lambda _: None
    rename(path, ".replay")
    assert await post.turn() == 1


async def test_a_letter_waits_for_a_sink_that_is_away(post: Post, sink: MemorySink) -> None:
    rename(await post.lay(7), ".replay")

    def away(_: Sequence[Event]) -> None:
        raise AWAY

    sink.before = away
    assert await post.turn() == 0
    assert post.names == [f"memory-{SOURCE}-7.1.writing"]
    sink.before = lambda _: None
    assert await post.turn() == 1
    assert sink.ids == ["req_7"]


async def test_who_dies_before_the_write_leaves_it_to_the_next(
    post: Post, sink: MemorySink
) -> None:
    rename(await post.lay(7), ".1.writing")
    assert await post.turn() == 1
    assert sink.ids == ["req_7"]


async def test_who_dies_after_the_write_has_it_written_once(post: Post, sink: MemorySink) -> None:
    rename(await post.lay(7), ".1.writing")
    await sink.write("replay-memory", 1, [event(7)])
    rename(await post.lay(8), ".replay")
    assert await post.turn() == 2
    assert sink.ids == ["req_7", "req_8"]
    assert post.names == []


async def test_a_write_whose_answer_was_lost_is_not_repeated(post: Post, sink: MemorySink) -> None:
    rename(await post.lay(7), ".replay")

    def lost(_: Sequence[Event]) -> None:
        raise TimeoutError

    sink.after = lost
    assert await post.turn() == 0
    sink.after = lambda _: None
    assert await post.turn() == 1
    assert sink.ids == ["req_7"]


async def test_a_letter_waits_while_its_source_may_bring_the_event(
    post: Post, sink: MemorySink
) -> None:
    rename(await post.lay(7, given=False), ".replay")
    assert await post.turn() == 0
    sink.marks[SOURCE] = 7
    assert await post.turn() == 1


@pytest.mark.parametrize(("days", "written"), [(0.5, 0), (1.5, 1)])
async def test_a_letter_of_a_source_that_is_forgotten_is_taken_after_a_day(
    post: Post, sink: MemorySink, days: float, written: int
) -> None:
    path = rename(await post.lay(7), ".replay")
    sink.marks.clear()
    at = post.clock.now() - days * 86_400
    os.utime(path, (at, at))
    assert await post.turn() == written


async def test_a_letter_of_a_sink_that_is_gone_lies_there(post: Post, sink: MemorySink) -> None:
    path = await post.lay(7, sink="old")
    rename(path, ".replay")
    assert await post.turn() == 0
    assert read_letter(path).reason == "there is no such sink"


async def test_what_could_not_be_read_goes_to_every_sink_once(tmp_path: Path) -> None:
    one, other = MemorySink("one"), MemorySink("other")
    post = Post(tmp_path, one, other)
    raw = Unreadable(encode_event(event(7, EventKind.REQUEST_ADMITTED)))
    await post.letters.write("hub", SOURCE, 7, raw, "unreadable")
    one.marks[SOURCE] = other.marks[SOURCE] = 7
    rename(post.folder / f"hub-{SOURCE}-7.json", ".replay")
    assert await post.turn() == 0
    assert post.names == [f"one-{SOURCE}-7.replay", f"other-{SOURCE}-7.replay"]
    assert await post.turn() == 2
    assert one.held == [("replay-one", 1, event(7, EventKind.REQUEST_ADMITTED))]
    assert other.ids == ["req_7"]


@pytest.mark.parametrize(
    "text", ["", "{}", '{"sink":"memory","source":"a","sequence":1,"reason":"","event":{}}']
)
async def test_what_is_no_letter_is_let_lie(post: Post, text: str) -> None:
    await post.lay(7)
    (post.folder / "memory-a-1.replay").write_text(text)
    assert await post.turn() == 0
    assert post.names == ["memory-a-1.json", f"memory-{SOURCE}-7.json"]


async def test_a_sink_that_cannot_say_what_it_holds_is_asked_again(
    post: Post, sink: MemorySink
) -> None:
    rename(await post.lay(7), ".replay")
    sink.silent = ZeroDivisionError()
    assert await post.turn() == 0
    sink.silent = None
    assert await post.turn() == 1


async def test_letters_in_any_state_count_to_the_bound(post: Post) -> None:
    post.letters = DeadLetters(post.folder, 400)
    rename(await post.lay(1), ".replay")
    rename(await post.lay(2), ".1.writing")
    with pytest.raises(OSError, match="bound of bytes"):
        await post.lay(3)
