"""The stores in memory keep the contract that those over SQL keep."""

from __future__ import annotations

from helixflow.testing.content import (
    MemoryContentKeys,
    MemoryContentStore,
    check_content_keys,
    check_contents,
    check_ledger,
)


async def test_the_contents_in_memory_keep_the_contract() -> None:
    await check_contents(MemoryContentStore())


async def test_the_ledger_in_memory_keeps_the_contract() -> None:
    await check_ledger(MemoryContentStore())


async def test_the_keys_in_memory_keep_the_contract() -> None:
    await check_content_keys(MemoryContentKeys())
