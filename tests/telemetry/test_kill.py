"""`kill -9` at random moments: what `record` returned from arrives in every sink exactly once."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from helixflow.clock import SystemClock
from helixflow.errors import Refusal, Unavailable
from helixflow.settings import TelemetrySettings
from helixflow.telemetry.recorder import Recorder, journals_of
from helixflow.telemetry.wire import AckWire, BatchWire
from helixflow.testing.telemetry import MemorySink, WiredHub

from .hub_bench import Bench, bench, event

ROUNDS = 100 if os.environ.get("HELIXFLOW_EXAMPLES") == "full" else 20
RECORDS_MAX = 1500
SETTINGS = TelemetrySettings.model_validate(
    {
        "shipping": {"batch_s": 0.001, "batch_events": 64, "pause_s_max": 0.005},
        "journal": {"segment_bytes": 65_536, "adopt_s": 0.01},
    }
)


class SocketHub:
    """`HubPort` to a hub in another process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ship(self, batch: BatchWire) -> AckWire:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path))
            try:
                writer.write(pickle.dumps(batch))
                writer.write_eof()
                answer: AckWire = pickle.loads(await reader.read())
            finally:
                writer.close()
        except (OSError, EOFError) as error:
            raise Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "away") from error
        return answer


async def serve(at: Bench, path: Path) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        try:
            writer.write(pickle.dumps(await at.hub.ship(pickle.loads(data))))
            await writer.drain()
        except (EOFError, pickle.UnpicklingError, ConnectionError):
            pass  # its sender is dead
        finally:
            writer.close()

    return await asyncio.start_unix_server(answer, str(path))


async def record_for_ever(home: Path, socket: Path, told: int) -> None:
    """The victim: each number goes into the pipe once its event was recorded."""
    recorder = Recorder(home, "ingress", SystemClock(), SETTINGS)
    recorder.start(SocketHub(socket))
    for number in range(1, RECORDS_MAX + 1):
        recorder.record(event(number))
        os.write(told, number.to_bytes(4, "big"))
        if number % 20 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(60)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A forked recorder and the end of its pipe; killed in any case."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(record_for_ever(tmp_path, tmp_path / "hub", write))
        finally:
            os._exit(1)
    os.close(write)
    yield pid, read
    os.close(read)
    with suppress(ChildProcessError):  # it was killed and waited for, as it should be
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_what_was_recorded_arrives_once_whenever_its_process_is_killed(
    tmp_path: Path, victim: tuple[int, int], seed: int
) -> None:
    pid, told = victim
    lives = random.Random(seed).randint(0, RECORDS_MAX)
    one, other = MemorySink("one"), MemorySink("other")

    async def run() -> int:
        async with bench(tmp_path, [one, other]) as at:
            server = await serve(at, tmp_path / "hub")
            count = await asyncio.to_thread(kill_after, pid, told, lives)
            heir = Recorder(tmp_path, "ingress", SystemClock(), SETTINGS)
            heir.start(WiredHub(at.hub))
            async with asyncio.timeout(20):
                while len(list(journals_of(tmp_path).glob("*"))) > 1:
                    await asyncio.sleep(0.001)
            await heir.close()
            server.close()
            return count

    recorded = asyncio.run(run())
    for sink in (one, other):
        numbers = [number for _, number, _ in sink.held]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) in (recorded, recorded + 1)  # the last one may not have been told
        assert sink.ids == [f"req_{number}" for number in numbers]


def kill_after(pid: int, told: int, lives: int) -> int:
    """Kill it once it has told of so many records; how many it told of in the end."""
    data = b""
    while len(data) < 4 * lives:
        data += os.read(told, 65_536)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(told, 65_536):
        data += more
    return len(data) // 4
