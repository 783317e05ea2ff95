"""Stores of limits for tests, and the servers behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from helixflow.limits.redis import RedisLimitStore
from helixflow.settings import LimitsSettings
from helixflow.testing.limit_tenant import Stage
from helixflow.testing.valkey import ValkeyServer, find_servers

from .servers import PATIENT, Offset, Open, Servers, Start


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture
def offset() -> Offset:
    return Offset()


@pytest.fixture
async def connect(offset: Offset) -> AsyncIterator[Open]:
    """Makes stores that are closed after the test."""
    stores: list[RedisLimitStore] = []

    def one(url: str, settings: LimitsSettings = PATIENT, **more: Any) -> RedisLimitStore:
        stores.append(RedisLimitStore(url, settings, offset_s=offset, **more))
        return stores[-1]

    yield one
    for store in stores:
        await store.close()


@pytest.fixture(params=["redis", "valkey", "cluster"])
def stage(request: pytest.FixtureRequest, servers: Servers, connect: Open, offset: Offset) -> Stage:
    """A store of each kind, and its time."""
    if request.param == "cluster":
        server = servers.get("valkey", cluster=True)
    else:
        server = servers.get(request.param)
    return Stage(connect(server.url(), PATIENT), offset.advance)


@pytest.fixture(params=[pytest.param("redis", marks=pytest.mark.slow), "valkey"])
def program(request: pytest.FixtureRequest) -> Path:
    """The program of a server of each kind."""
    if request.param not in find_servers():
        pytest.skip(f"no {request.param} server on this machine")
    return find_servers()[request.param]


@pytest.fixture
def start(program: Path) -> Iterator[Start]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:
        yield lambda *options, **more: stack.enter_context(ValkeyServer(program, *options, **more))
