from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from helixflow.errors import Conflict, Forbidden, NotFound, Unavailable
from helixflow.inference.desk import DeskCall
from helixflow.inference.principal import Principal
from helixflow.telemetry.content.ports import VERSION
from helixflow.testing.audit import ORGANIZATION, MemoryAuditStore
from helixflow.testing.content import PROJECT, ContentParts, some_keeper, some_sealed


async def ask(
    parts: ContentParts, operation: str, who: Principal | None = None, **asked: Any
) -> Any:
    arguments = json.dumps(asked).encode()
    answer = await parts.call(DeskCall(operation, who or some_keeper(), arguments))
    return json.loads(answer.body)


async def parts_with(*requests: str) -> ContentParts:
    parts = ContentParts()
    await parts.keys.session(ORGANIZATION, PROJECT, 1)
    rows = [some_sealed(one, at=float(number)) for number, one in enumerate(requests)]
    await parts.vault.keep((VERSION, tuple(row.to_wire() for row in rows)))
    return parts


async def actions(parts: ContentParts) -> list[str]:
    return [record.action for record in await parts.audit.records()]


async def test_a_list_goes_on_where_it_ended_and_opens_nothing() -> None:
    parts = await parts_with("req_1", "req_2", "req_3")
    first = await ask(parts, "content.list", project_id=PROJECT, limit=2)
    assert [one["id"] for one in first["data"]] == ["req_3", "req_2"]
    assert (first["has_more"], first["last_id"]) == (True, "req_2")
    rest = await ask(parts, "content.list", project_id=PROJECT, after="req_2")
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (["req_1"], False)
    assert (await ask(parts, "content.list", project_id="proj_2"))["first_id"] is None
    assert await actions(parts) == []


async def test_what_cannot_be_recorded_is_neither_read_nor_deleted() -> None:
    parts = await parts_with("req_1")
    audited = parts.audit.store
    assert isinstance(audited, MemoryAuditStore)
    audited.away = True
    for operation in ("content.read", "content.delete"):
        with pytest.raises(Unavailable):
            await ask(parts, operation, project_id=PROJECT, request_id="req_1")
    audited.away = False
    assert await parts.store.get(ORGANIZATION, PROJECT, "req_1") is not None
    await ask(parts, "content.read", project_id=PROJECT, request_id="req_1")
    assert await actions(parts) == ["project:content:read"]


async def test_what_has_no_key_any_more_is_not_there() -> None:
    parts = await parts_with("req_1")
    await parts.keys.erase(ORGANIZATION, PROJECT, 1)
    with pytest.raises(NotFound):
        await ask(parts, "content.read", project_id=PROJECT, request_id="req_1")
    assert await actions(parts) == []


async def test_a_session_is_for_whose_project_keeps_content_and_was_not_erased() -> None:
    parts = await parts_with()
    with pytest.raises(Forbidden):
        await ask(parts, "content.session", replace(some_keeper(), keeping=None))
    assert set(await ask(parts, "content.session")) == {"id", "key"}
    await parts.vault.erase(ORGANIZATION, PROJECT, 1)
    with pytest.raises(Conflict):
        await ask(parts, "content.session")
