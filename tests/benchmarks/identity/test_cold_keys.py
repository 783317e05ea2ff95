from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from benchmarks.identity.cold_keys import ColdKeys
from benchmarks.identity.full_store import fill
from benchmarks.systems.in_process import HOME, URL, Sqlite
from benchmarks.systems.ports import Running
from helixflow.identity.keys import KeyKind, parse
from helixflow.testing.postgres import PostgresServer


def test_every_key_in_use_is_looked_up_once(tmp_path: Path) -> None:
    probe = ColdKeys(40, 10)
    running = Sqlite().start(tmp_path)
    probe.prepare(running)
    probed = probe.measure(running)
    assert len(probed.outcome.latency_ms) == 10
    assert probed.figures["look_up_p99_ms"] >= probed.figures["look_up_p50_ms"] > 0
    assert probed.figures["warm_us"] > 0
    assert (probe.name, probe.title) == ("k40", "40 keys, 10 in use")


@pytest.mark.parametrize(("total", "active"), [(2_500, 7), (30, 30)])
def test_a_store_is_filled_with_keys_that_differ_in_id_and_mac_alone(
    tmp_path: Path, total: int, active: int
) -> None:
    running = Sqlite().start(tmp_path)
    texts = asyncio.run(fill(running, "full", total, active))
    assert [parse(text) for text in set(texts)] == [KeyKind.PROJECT] * active
    counted = "count(*), count(DISTINCT id), count(DISTINCT mac), count(DISTINCT permissions)"
    link = sqlite3.connect(tmp_path / "full.db")
    found = link.execute(f"SELECT {counted} FROM api_keys WHERE name = 'a service'").fetchone()
    link.close()
    assert found == (total, total, total, 1)


def test_postgres_fills_a_store_too(postgres: PostgresServer, tmp_path: Path) -> None:
    private = {HOME: str(tmp_path), URL: postgres.url("{database}")}
    probe = ColdKeys(1_100, 3)
    probe.prepare(Running("", 0, 0.0, private=private))
    assert len(probe.measure(Running("", 0, 0.0, private=private)).outcome.latency_ms) == 3
