"""No operation of the desk is done without its permission, whatever the store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from helixflow.errors import Forbidden, Unauthenticated
from helixflow.identity.desk import OPERATIONS
from helixflow.inference.desk import DeskCall
from helixflow.storage.prepare import Stores
from helixflow.testing.counter import Counter, open_counter


@pytest.fixture
async def counter(stores: Stores) -> Counter:
    return await open_counter(stores)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
async def test_no_operation_is_done_without_its_permission(
    counter: Counter, operation: str
) -> None:
    kind = OPERATIONS[operation].arguments
    words: dict[str, Any] = {
        "action": "model:invoke", "amount": 1, "entity": "key", "models": [],
        "name": "requests_per_minute", "role": "viewer",
    }  # fmt: skip
    some = {
        field.name: words.get(field.name, "x")
        for field in msgspec.structs.fields(kind)
        if field.required
    }
    powerless = replace(counter.admin, permissions=frozenset())
    before = await counter.stores.keys.revision()
    with pytest.raises(Forbidden):
        await counter.ask(operation, powerless, **some)
    call = DeskCall(operation, None, json.dumps(some).encode())
    with pytest.raises(Unauthenticated):
        await counter.desk.answer(call)
    assert await counter.stores.keys.revision() == before
