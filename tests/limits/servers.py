"""Real servers that start with the first need of one, and how tests are given them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias

import pytest

from helixflow.limits.redis import RedisLimitStore
from helixflow.settings import LimitsSettings
from helixflow.testing.valkey import ValkeyServer, find_servers

Start: TypeAlias = Callable[..., ValkeyServer]
"""Starts a server for a test, with the arguments of `ValkeyServer` but its program."""

Open: TypeAlias = Callable[..., RedisLimitStore]
"""Makes a store for a test, with the arguments of `RedisLimitStore`; settings may be left out."""


PATIENT = LimitsSettings(store_call_s=5.0)
"""On a busy machine the contract says nothing about how fast a store is."""

IMPATIENT = LimitsSettings(store_call_s=0.4)
"""For tests of the deadline itself. Longer than by default, because the machine may be busy."""


class Servers:
    """Real servers by kind, each started once."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[tuple[str, bool], ValkeyServer] = {}

    def get(self, kind: str, *, cluster: bool = False) -> ValkeyServer:
        program = find_servers().get(kind)
        if program is None:
            pytest.skip(f"no {kind} server on this machine")
        if (kind, cluster) not in self._running:
            server = self._stack.enter_context(ValkeyServer(program, cluster=cluster))
            self._running[kind, cluster] = server
        return self._running[kind, cluster]


class Offset:
    """How far a store's time is ahead of its server's."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
