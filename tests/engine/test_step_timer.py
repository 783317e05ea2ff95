"""One timer over many steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from helixflow.engine.step_timer import StepTimer
from helixflow.errors import DeadlineExceeded


async def test_a_step_in_time_gives_its_value() -> None:
    timer = StepTimer(60, 60)
    assert await timer.within(asyncio.sleep(0, "done")) == "done"
    timer.stop()


async def test_a_step_that_takes_too_long_is_cancelled() -> None:
    step = asyncio.get_running_loop().create_future()
    with pytest.raises(DeadlineExceeded, match="longer than 7 s"):
        await StepTimer(0, 7).within(step)
    assert step.cancelled()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_between_two_steps_nobody_is_cancelled() -> None:
    timer = StepTimer(0, 7)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded):
        await timer.within(asyncio.sleep(60))


async def test_another_cancellation_goes_its_way() -> None:
    timer = StepTimer(60, 60)
    task = asyncio.create_task(timer.within(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    timer.stop()


async def test_a_cancellation_beside_the_deadline_is_not_swallowed() -> None:
    timer = StepTimer(0, 7)
    task = asyncio.create_task(timer.within(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def numbers() -> AsyncIterator[int]:
    for number in range(9):
        yield number


async def test_a_step_that_is_ready_at_once_is_too_late_as_well() -> None:
    timer, steps = StepTimer(0, 7), numbers()
    await asyncio.sleep(0.001)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for step in (anext(steps, None), ended):
        with pytest.raises(DeadlineExceeded):
            await timer.within(step)
    assert ended.cancelled()
    await asyncio.sleep(0)  # nobody was cancelled
    assert await anext(steps) == 0
