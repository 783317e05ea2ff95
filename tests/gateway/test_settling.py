from __future__ import annotations

import asyncio

import pytest

from helixflow.gateway.settling import Settling
from helixflow.ids import mint_request_id
from helixflow.inference.usage import Usage
from helixflow.testing.gateway import FakeDispatcher, FakeReservation


@pytest.mark.parametrize("used", [Usage(3, 2), None])
async def test_what_is_left_early_is_settled_once_its_replica_has_spoken(
    used: Usage | None,
) -> None:
    dispatcher, reservation = FakeDispatcher(), FakeReservation()
    told = dispatcher.last_words = asyncio.get_running_loop().create_future()
    Settling(dispatcher).settle(reservation, None, mint_request_id())
    await asyncio.sleep(0)
    assert reservation.settled == []
    told.set_result(used)
    await asyncio.sleep(0.001)
    assert reservation.settled == [used]
    assert not reservation.whole  # it says nothing about how long answers are


async def test_where_nobody_will_say_it_the_estimate_counts_at_once() -> None:
    reservation = FakeReservation()
    Settling(FakeDispatcher()).settle(reservation, None, mint_request_id())
    assert reservation.settled == [None]


async def test_what_is_known_is_settled_at_once_and_nobody_is_asked() -> None:
    dispatcher, reservation = FakeDispatcher(), FakeReservation()
    dispatcher.last_words = asyncio.get_running_loop().create_future()
    Settling(dispatcher).settle(reservation, Usage(3, 5), mint_request_id())
    assert (reservation.settled, reservation.whole) == ([Usage(3, 5)], True)
