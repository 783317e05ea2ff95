from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from helixflow.errors import Unavailable
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.inference.principal import Principal
from helixflow.settings import HubSettings
from helixflow.telemetry.dead_letters import DeadLetters
from helixflow.telemetry.desk import Arguments, Operation, Visit
from helixflow.telemetry.ports import Sink
from helixflow.telemetry.station import Station
from helixflow.telemetry.wire import encode_event, join
from helixflow.testing.clock import ManualClock
from helixflow.testing.telemetry import MemoryMetrics, MemorySink

from .hub_bench import SOURCE, Naps, event


class Chain(MemorySink):
    """A sink with work of its own, that fails at first, and with something to do at the end."""

    def __init__(self) -> None:
        super().__init__("chain")
        self.runs = 0
        self.closed = False

    async def run(self) -> None:
        self.runs += 1
        if self.runs == 1:
            raise ZeroDivisionError
        await asyncio.Event().wait()

    async def close(self) -> None:
        assert self.ids == ["req_1"]
        self.closed = True


class Hanging(MemorySink):
    async def close(self) -> None:
        await asyncio.Event().wait()


async def hello(visit: Visit, arguments: Arguments) -> object:
    return visit.scope.organization


def station(folder: Path, sinks: Sequence[Sink], **settings: Any) -> Station:
    return Station(
        sinks=sinks,
        metrics=MemoryMetrics(),
        operations=[Operation("usage.hello", "usage:read", Arguments, hello)],
        letters=DeadLetters(folder, 1000),
        settings=HubSettings(**settings),
        clock=ManualClock(),
        sleep=Naps(),
    )


async def ship(one: Station) -> None:
    await one.ship((1, SOURCE, "ingress", 0, 1, join([encode_event(event(1))]), 0, b"", False))


async def test_events_go_to_sinks_which_do_their_duties_and_finish(tmp_path: Path) -> None:
    chain = Chain()
    one = station(tmp_path, [chain])
    assert not one.healthy
    one.start()
    assert one.healthy
    await ship(one)
    while chain.runs < 2:
        await asyncio.sleep(0)
    await one.close()
    await one.close()
    assert chain.closed
    assert not one.healthy


async def test_without_a_vault_it_takes_no_content(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await station(tmp_path, []).keep((1, ()))


async def test_it_answers_at_its_desk(tmp_path: Path) -> None:
    one = station(tmp_path, [])
    who = Principal(
        OrganizationId("org_a"), ProjectId(""), KeyId("k"), "", frozenset({"usage:read"})
    )
    wire = await one.ask(DeskCall("usage.hello", who).to_wire())
    assert DeskAnswer.from_wire(wire).body == b'"org_a"'


async def test_a_part_that_hangs_does_not_keep_it_from_ending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain, hanging = Chain(), Hanging("hanging")
    hanging.gate.clear()
    one = station(tmp_path, [hanging, chain], close_s=0.01)
    one.start()
    await ship(one)
    while not chain.held:
        await asyncio.sleep(0)
    await one.close()
    assert chain.closed
    assert "not everything reached every sink" in caplog.text


async def test_one_that_was_never_started_can_be_closed(tmp_path: Path) -> None:
    await station(tmp_path, []).close()
