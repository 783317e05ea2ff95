from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.engine.slots import Slots


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_slots_are_given_out_in_the_order_of_asking() -> None:
    slots, order = Slots(1), []
    await slots.take()

    async def ask(name: str) -> None:
        taken = await slots.take()
        order.append(name)
        slots.give(taken)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(ask(name))
        await settle()
        assert slots.waiting == 3
        slots.give(1)
    assert order == ["a", "b", "c"]
    assert (slots.taken, slots.waiting) == (0, 0)


async def test_a_request_never_waits_for_more_slots_than_there_are() -> None:
    slots = Slots(2)
    assert await slots.take(5) == 2


async def test_a_wide_request_is_not_overtaken() -> None:
    slots = Slots(2)
    await slots.take(1)
    wide = asyncio.create_task(slots.take(2))
    await settle()
    narrow = asyncio.create_task(slots.take(1))
    await settle()
    assert not narrow.done()
    slots.give(1)
    assert await wide == 2
    slots.give(2)
    assert await narrow == 1


async def test_leaving_the_queue_lets_those_behind_move_up() -> None:
    slots = Slots(2)
    await slots.take(1)
    wide = asyncio.create_task(slots.take(2))
    await settle()
    narrow = asyncio.create_task(slots.take(1))
    await settle()
    wide.cancel()
    assert await narrow == 1
    assert slots.waiting == 0


async def test_a_slot_freed_while_someone_leaves_goes_to_the_next() -> None:
    slots = Slots(1)
    await slots.take()
    leaver = asyncio.create_task(slots.take())
    await settle()
    stayer = asyncio.create_task(slots.take())
    await settle()
    leaver.cancel()
    slots.give(1)
    assert await stayer == 1
    assert (slots.taken, slots.waiting) == (1, 0)
    assert leaver.cancelled()


async def test_a_slot_given_to_someone_who_just_left_is_not_lost() -> None:
    slots = Slots(1)
    await slots.take()
    waiter = asyncio.create_task(slots.take())
    await settle()
    slots.give(1)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert slots.taken == 0


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.integers(0, 2)), max_size=30),
    st.integers(1, 4),
)
def test_whatever_happens_slots_are_never_exceeded_nor_lost(
    asks: list[tuple[int, bool, int]], total: int
) -> None:
    async def play() -> None:
        slots = Slots(total)

        async def one(wanted: int) -> None:
            taken = await slots.take(wanted)
            try:
                assert 0 < slots.taken <= total
                await asyncio.sleep(0)
            finally:
                slots.give(taken)

        tasks = []
        for wanted, leaves, turns in asks:
            tasks.append(asyncio.create_task(one(wanted)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if leaves:
                tasks[len(tasks) // 2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (slots.taken, slots.waiting) == (0, 0)

    asyncio.run(play())
