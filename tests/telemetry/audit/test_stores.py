"""The stores in memory keep the contract that those over SQL keep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from helixflow.testing.audit import MemoryAuditStore, MemoryPersonStore
from helixflow.testing.audit_checks import (
    check_appends,
    check_finds,
    check_forks,
    check_persons,
    check_retention,
    check_seals,
)


@pytest.mark.parametrize(
    "check",
    [check_appends, check_finds, check_forks, check_retention, check_seals],
    ids=lambda check: check.__name__,
)
async def test_the_log_in_memory_keeps_the_contract(
    check: Callable[[MemoryAuditStore], Awaitable[None]],
) -> None:
    await check(MemoryAuditStore())


async def test_the_persons_in_memory_keep_the_contract() -> None:
    await check_persons(MemoryPersonStore())
