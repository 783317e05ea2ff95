from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from helixflow.errors import Refusal, Unavailable
from helixflow.settings import TelemetryStorageSettings
from helixflow.storage.database import Database
from helixflow.storage.sink_marks import forget_marks, lock_sink, read_mark, write_mark
from helixflow.storage.telemetry import prepare_telemetry


async def test_a_mark_is_kept_per_sink_and_source(telemetry: Database) -> None:
    async def write(connection: AsyncConnection) -> None:
        await lock_sink(connection, "usage")
        await write_mark(connection, "usage", "a", 3, 1.0)
        await write_mark(connection, "usage", "a", 7, 2.0)
        await write_mark(connection, "audit", "a", 1, 2.0)

    await telemetry.write(write)

    async def look(connection: AsyncConnection) -> list[int]:
        places = (("usage", "a"), ("audit", "a"), ("usage", "b"))
        return [await read_mark(connection, *place) for place in places]

    assert await telemetry.read(look) == [7, 1, 0]


async def test_old_marks_are_forgotten_a_bounded_part_at_a_time(telemetry: Database) -> None:
    async def write(connection: AsyncConnection) -> None:
        for number in range(5):
            await write_mark(connection, "usage", f"s{number}", 1, float(number))

    await telemetry.write(write)
    assert await telemetry.write(lambda connection: forget_marks(connection, 4.0, 3)) == 3
    assert await telemetry.write(lambda connection: forget_marks(connection, 4.0, 3)) == 1

    async def left(connection: AsyncConnection) -> int:
        return await read_mark(connection, "usage", "s4")

    assert await telemetry.read(left) == 1


async def test_writers_of_one_sink_come_one_after_the_other(telemetry: Database) -> None:
    """What is read under the lock is still so when it is written."""

    async def add(connection: AsyncConnection) -> None:
        await lock_sink(connection, "usage")
        last = await read_mark(connection, "usage", "a")
        await asyncio.sleep(0)
        await write_mark(connection, "usage", "a", last + 1, 1.0)

    await asyncio.gather(*(telemetry.write(add) for _ in range(20)))

    async def look(connection: AsyncConnection) -> int:
        return await read_mark(connection, "usage", "a")

    assert await telemetry.read(look) == 20


async def test_telemetrys_database_is_made_in_the_home_folder(tmp_path: Path) -> None:
    stores = await prepare_telemetry(TelemetryStorageSettings(call_s=5.0), tmp_path / "home")
    assert await stores.database.drift() == []
    assert (tmp_path / "home" / "telemetry.db").exists()
    await stores.database.close()


async def test_without_its_database_telemetry_is_unavailable(tmp_path: Path) -> None:
    settings = TelemetryStorageSettings(url="postgresql://nobody@127.0.0.1:9/none", call_s=1.0)
    with pytest.raises(Unavailable) as caught:
        await prepare_telemetry(settings, tmp_path)
    assert caught.value.reason is Refusal.TELEMETRY_UNAVAILABLE
