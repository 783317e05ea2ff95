from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from helixflow.direct.channel import Channel
from helixflow.direct.door import Door
from helixflow.direct.doors import Doors, SeenDoor
from helixflow.direct.place import connect, folder_of
from helixflow.direct.wire import Kind, pack_frame, pack_request
from helixflow.inference.frame import Frame, FrameWire, Sidecar
from helixflow.inference.request import EngineRequest, EngineRequestWire
from helixflow.inference.usage import Usage
from helixflow.testing.clock import ManualClock
from helixflow.testing.engine import engine_request

END = Frame(b"end", Sidecar(Usage(3, 2, 1), "stop"))


class Scripted:
    """Answers with what it is given; `hold` makes each answer wait before its end."""

    def __init__(self, *frames: bytes) -> None:
        self.frames = frames
        self.hold: asyncio.Event | None = None
        self.fault: Exception | None = None
        self.asked: list[EngineRequest] = []
        self.sent = 0
        self.canceled = 0

    async def unary(self, wire: EngineRequestWire) -> FrameWire:
        [*_, last] = [frame async for frame in self.stream(wire)]
        return last

    async def stream(self, wire: EngineRequestWire) -> AsyncGenerator[FrameWire, None]:
        self.asked.append(EngineRequest.from_wire(wire))
        try:
            for data in self.frames:
                yield Frame(data).to_wire()
                self.sent += 1
            if self.hold is not None:
                await self.hold.wait()
            if self.fault is not None:
                raise self.fault
            yield END.to_wire()
        except (asyncio.CancelledError, GeneratorExit):
            self.canceled += 1
            raise

    def abandoned(self, wire: EngineRequestWire) -> FrameWire:
        return Frame(b"", Sidecar(Usage(7, self.sent))).to_wire()


@asynccontextmanager
async def opened(run: Path, answers: Scripted) -> AsyncIterator[Door]:
    door = Door(folder_of(run, "m"), answers)
    await door.open()
    try:
        yield door
    finally:
        await door.close(0.0)


@asynccontextmanager
async def visiting(run: Path) -> AsyncIterator[tuple[SeenDoor, Channel]]:
    doors = Doors(run, ManualClock())
    door, _ = doors.choose("m")
    assert door is not None
    channel = await door.channel()
    try:
        yield door, channel
    finally:
        channel.close()
        doors.close()
        await asyncio.sleep(0)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


async def answer(channel: Channel, kind: Kind = Kind.STREAM) -> bytes:
    channel.send(kind, engine_request({}))
    data = b""
    while True:
        frame = await channel.receive()
        data += frame.data
        if frame.sidecar is not None:
            assert frame.sidecar == END.sidecar
            return data


@pytest.mark.parametrize("kind", [Kind.UNARY, Kind.STREAM])
async def test_one_connection_serves_one_exchange_after_the_other(
    tmp_path: Path, kind: Kind
) -> None:
    scripted = Scripted(b"one ", b"two ")
    async with opened(tmp_path, scripted) as door, visiting(tmp_path) as (seen, channel):
        for _ in range(3):
            data = await answer(channel, kind)
            assert data == (b"end" if kind is Kind.UNARY else b"one two end")
            assert channel.idle
        assert len(scripted.asked) == 3
        assert door.ongoing == 0
        seen.give_back(channel)
        assert await seen.channel() is channel


async def test_a_caller_that_leaves_cancels_what_it_asked_for(tmp_path: Path) -> None:
    scripted = Scripted(b"one ")
    scripted.hold = asyncio.Event()
    async with opened(tmp_path, scripted) as door, visiting(tmp_path) as (seen, channel):
        channel.send(Kind.STREAM, engine_request({}))
        assert (await channel.receive()).data == b"one "
        assert door.ongoing == 1
        seen.give_back(channel)  # its exchange is not complete
        await until(lambda: scripted.canceled == 1 and door.ongoing == 0)


@pytest.mark.parametrize("kind", [Kind.UNARY, Kind.STREAM])
async def test_a_request_that_is_cancelled_is_told_what_it_had_used(
    tmp_path: Path, kind: Kind
) -> None:
    scripted = Scripted(b"one ", b"two ")
    scripted.hold = asyncio.Event()
    async with opened(tmp_path, scripted) as door, visiting(tmp_path) as (_, channel):
        for _ in range(2):
            channel.send(kind, engine_request({}))
            await until(lambda: scripted.sent == 2)
            end = await channel.cancel()
            assert end.sidecar is not None
            assert end.sidecar.usage == Usage(7, 2)
            assert channel.idle
            assert door.ongoing == scripted.sent - 2 == 0
            scripted.sent = 0
        channel.send(kind, engine_request({}))
        assert (await channel.cancel()).sidecar is not None  # before it had begun
        scripted.hold.set()
        await answer(channel, kind)
        assert scripted.canceled == 2


async def test_a_cancellation_that_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    scripted = Scripted(b"one ")
    async with opened(tmp_path, scripted), visiting(tmp_path) as (_, channel):
        channel.send(Kind.STREAM, engine_request({}))
        await until(lambda: scripted.sent == 1)
        await asyncio.sleep(0.01)
        assert (await channel.cancel()).sidecar == END.sidecar
        assert await answer(channel) == b"one end"
        assert scripted.canceled == 0


async def test_a_replica_that_is_lost_says_nothing(tmp_path: Path) -> None:
    scripted = Scripted()
    scripted.hold = asyncio.Event()
    async with opened(tmp_path, scripted) as door, visiting(tmp_path) as (_, channel):
        channel.send(Kind.STREAM, engine_request({}))
        await until(lambda: door.ongoing == 1)
        await door.close(0.0)
        with pytest.raises(ConnectionError):
            await channel.cancel()


async def test_a_slow_reader_holds_up_its_own_answer_and_loses_nothing(tmp_path: Path) -> None:
    size, count = 64 * 1024, 100
    scripted = Scripted(*[bytes([index]) * size for index in range(count)])
    async with opened(tmp_path, scripted), visiting(tmp_path) as (_, channel):
        channel.send(Kind.STREAM, engine_request({}))
        await until(lambda: scripted.sent > 2)
        for _ in range(20):
            await asyncio.sleep(0.002)
        assert scripted.sent < count  # the rest waits in the replica
        async with visiting(tmp_path) as (_, other):
            other.send(Kind.UNARY, engine_request({}))
            assert (await other.receive()).data == b"end"
        data = b""
        while True:
            frame = await channel.receive()
            data += frame.data
            if frame.sidecar is not None:
                break
        assert data == b"".join(scripted.frames) + b"end"


async def test_a_door_that_closes_answers_whoever_is_inside(tmp_path: Path) -> None:
    scripted = Scripted(b"one ")
    scripted.hold = asyncio.Event()
    async with (
        opened(tmp_path, scripted) as door,
        visiting(tmp_path) as (_, idle),
        visiting(tmp_path) as (_, busy),
    ):
        busy.send(Kind.STREAM, engine_request({}))
        await busy.receive()
        closing = asyncio.create_task(door.close(5.0))
        await until(lambda: idle.lost)
        with pytest.raises(ConnectionError):
            idle.send(Kind.STREAM, engine_request({}))
        assert Doors(tmp_path, ManualClock()).choose("m") == (None, 0)
        scripted.hold.set()
        frame = await busy.receive()
        assert frame.sidecar == END.sidecar
        await closing
        await until(lambda: busy.lost)


async def test_what_is_not_over_in_time_is_ended(tmp_path: Path) -> None:
    scripted = Scripted()
    scripted.hold = asyncio.Event()
    async with opened(tmp_path, scripted) as door, visiting(tmp_path) as (_, channel):
        channel.send(Kind.UNARY, engine_request({}))
        await until(lambda: door.ongoing == 1)
        await door.close(0.01)
        with pytest.raises(ConnectionError):
            await channel.receive()
        await until(lambda: scripted.canceled == 1)


async def test_an_answer_that_breaks_off_breaks_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scripted = Scripted(b"one ")
    scripted.fault = RuntimeError("lost its way")
    async with opened(tmp_path, scripted):
        for kind in (Kind.STREAM, Kind.UNARY):
            async with visiting(tmp_path) as (_, channel):
                with pytest.raises(ConnectionError):
                    await answer(channel, kind)
    assert "broke off at a replica's door" in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        pack_frame(END.to_wire()),
        pack_request(Kind.STREAM, engine_request({}).to_wire()) * 2,
    ],
    ids=["another protocol", "an answer", "two at once"],
)
async def test_whoever_does_not_keep_to_the_protocol_is_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, message: bytes
) -> None:
    scripted = Scripted()
    scripted.hold = asyncio.Event()
    async with opened(tmp_path, scripted) as door:
        [path] = folder_of(tmp_path, "m").iterdir()
        reader, writer = await asyncio.open_unix_connection(sock=connect(path))
        with caplog.at_level(logging.WARNING):
            writer.write(message)
            assert await reader.read() == b""
        assert "cut off" in caplog.text
        await until(lambda: door.ongoing == 0)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        pack_request(Kind.STREAM, engine_request({}).to_wire()),
        b"\x04\x00\x00\x00\x01\x90",
    ],
    ids=["another protocol", "a request", "an end without a record"],
)
async def test_a_door_that_does_not_keep_to_the_protocol_is_left(
    tmp_path: Path, message: bytes
) -> None:
    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(message)
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(strange, tmp_path / "door")
    async with server:
        seen = SeenDoor(tmp_path / "door")
        channel = await seen.channel()
        channel.send(Kind.STREAM, engine_request({}))
        with pytest.raises(ConnectionError):
            await channel.receive()


async def test_an_answer_that_nobody_asked_for_ends_the_connection(tmp_path: Path) -> None:
    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(pack_frame(END.to_wire()))
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_unix_server(strange, tmp_path / "door"):
        channel = await SeenDoor(tmp_path / "door").channel()
        await until(lambda: channel.lost)


async def test_a_replica_goes_on_without_a_door_where_none_can_be_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "direct").touch()
    async with opened(tmp_path, Scripted()) as door:
        assert "no direct way" in caplog.text
        assert door.ongoing == 0
        assert Doors(tmp_path, ManualClock()).choose("m") == (None, 0)
