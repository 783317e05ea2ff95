from __future__ import annotations

from collections.abc import Sequence

from helixflow.limits.ports import Ask, Grant, LimitStoreAway
from helixflow.limits.silence import Silence
from helixflow.testing.clock import ManualClock


class _Store:
    """A store that knows only who is silent."""

    def __init__(self, *silent: str) -> None:
        self.silent_holders = list(silent)
        self.buried: list[str] = []
        self.away = False

    async def exchange(
        self, holder: str, number: int, acked: int, groups: Sequence[Sequence[Ask]]
    ) -> list[tuple[Grant, ...]]:
        return [() for _ in groups]

    async def close(self) -> None:
        """Nothing is open."""

    async def silent(self, after_s: float) -> list[str]:
        if self.away:
            raise LimitStoreAway("no")
        assert after_s == 5.0
        return list(self.silent_holders)

    async def bury(self, holder: str) -> None:
        self.silent_holders.remove(holder)
        self.buried.append(holder)


class _Fleet:
    def __init__(self, **running: int | None) -> None:
        self.held = running

    async def running(self, holder: str) -> int | None:
        return self.held[holder]


def _silence(store: _Store, fleet: _Fleet, clock: ManualClock) -> Silence:
    return Silence(store, fleet.running, clock, silent_s=5.0, request_s=600.0)


async def test_slots_are_freed_when_nothing_of_the_silent_one_runs() -> None:
    store, fleet = _Store("a", "b"), _Fleet(a=0, b=2)
    silence = _silence(store, fleet, ManualClock())
    await silence.step()
    assert store.buried == ["a"]
    fleet.held["b"] = 0
    await silence.step()
    assert store.buried == ["a", "b"]


async def test_a_fleet_that_cannot_tell_frees_nothing_until_the_deadline_of_every_request() -> None:
    store, clock = _Store("a"), ManualClock()
    silence = _silence(store, _Fleet(a=None), clock)
    await silence.step()
    clock.advance(599.0)
    await silence.step()
    assert store.buried == []
    clock.advance(1.0)
    await silence.step()
    assert store.buried == ["a"]


async def test_one_that_speaks_again_begins_anew() -> None:
    store, clock = _Store("a"), ManualClock()
    silence = _silence(store, _Fleet(a=None), clock)
    await silence.step()
    clock.advance(599.0)
    store.silent_holders.clear()
    await silence.step()
    store.silent_holders.append("a")
    clock.advance(2.0)
    await silence.step()
    assert store.buried == []


async def test_a_store_that_is_away_is_asked_again() -> None:
    store = _Store("a")
    silence = _silence(store, _Fleet(a=0), ManualClock())
    store.away = True
    await silence.step()
    store.away = False
    await silence.step()
    assert store.buried == ["a"]
