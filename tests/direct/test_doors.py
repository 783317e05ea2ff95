from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from helixflow.direct.doors import Doors
from helixflow.direct.place import folder_of, listen
from helixflow.testing.clock import ManualClock


def test_new_doors_are_seen_and_old_ones_forgotten(tmp_path: Path) -> None:
    clock = ManualClock()
    doors = Doors(tmp_path, clock)
    assert doors.choose("m") == (None, 0)
    first, path = listen(folder_of(tmp_path, "m"))
    with first:
        assert doors.choose("m") == (None, 0)  # looked at a moment ago
        clock.advance(0.2)
        door, count = doors.choose("m")
        assert door is not None
        assert (door.path, count) == (path, 1)
        path.unlink()
        clock.advance(0.2)
        assert doors.choose("m") == (None, 0)
        assert doors.choose("another") == (None, 0)


def test_the_door_with_the_fewest_requests_is_taken(tmp_path: Path) -> None:
    clock = ManualClock()
    doors = Doors(tmp_path, clock)
    made = [listen(folder_of(tmp_path, "m"))[0] for _ in range(3)]
    taken: Counter[str] = Counter()
    for _ in range(30):
        door, count = doors.choose("m")
        assert door is not None
        assert count == 3
        door.ongoing += 1
        taken[door.path.name] += 1
    assert set(taken.values()) == {10}
    for listening in made:
        listening.close()


@pytest.mark.parametrize("count", [1, 2])
def test_a_replica_whose_engine_died_rests_for_a_second(tmp_path: Path, count: int) -> None:
    clock = ManualClock()
    doors = Doors(tmp_path, clock)
    made = [listen(folder_of(tmp_path, "m"))[0] for _ in range(count)]
    door, _ = doors.choose("m")
    assert door is not None
    doors.rest(door)
    for _ in range(4):
        other, _ = doors.choose("m")
        assert other is not door
        assert (other is None) == (count == 1)
    clock.advance(1.1)
    assert door in {doors.choose("m")[0] for _ in range(4)}
    for listening in made:
        listening.close()


def test_a_door_at_which_nobody_listens_is_removed(tmp_path: Path) -> None:
    clock = ManualClock()
    doors = Doors(tmp_path, clock)
    listening, path = listen(folder_of(tmp_path, "m"))
    listening.close()
    door, _ = doors.choose("m")
    assert door is not None
    doors.gone("m", door)
    doors.gone("m", door)
    doors.gone("unheard of", door)
    assert not path.exists()
    assert doors.choose("m") == (None, 0)


def test_it_remembers_a_bounded_number_of_models(tmp_path: Path) -> None:
    doors = Doors(tmp_path, ManualClock(), folders_max=3)
    for name in "abcdef":
        doors.choose(name)
    assert doors.known == 3
    doors.close()
