from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from helixflow.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    Refusal,
    Refused,
    Unauthenticated,
)
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.inference.principal import Principal
from helixflow.settings import HubSettings
from helixflow.telemetry.desk import Arguments, Desk, Operation, Scope, Visit


def principal(permissions: frozenset[str] = frozenset(), project: str = "proj_a") -> Principal:
    key = KeyId("key_a")
    return Principal(OrganizationId("org_a"), ProjectId(project), key, "name", permissions)


class Days(Arguments, frozen=True, kw_only=True):
    days: int = 1


async def show(visit: Visit, days: Days) -> object:
    return {"organization": visit.scope.organization, "days": days.days}


async def raw(visit: Visit, days: Days) -> object:
    return b"a,b\n"


async def broken(visit: Visit, days: Days) -> object:
    raise ZeroDivisionError("secret")


async def endless(visit: Visit, days: Days) -> object:
    await asyncio.Event().wait()
    return None


async def late(visit: Visit, days: Days) -> object:
    raise TimeoutError("of its own")


OPERATIONS = [
    Operation(f"usage.{run.__name__}", "usage:read", Days, run)
    for run in (show, raw, broken, endless, late)
]
READER = principal(permissions=frozenset({"usage:read"}))


async def ask(
    operation: str, arguments: bytes = b"{}", who: Principal | None = READER, **settings: Any
) -> bytes:
    desk = Desk(OPERATIONS, HubSettings(**settings))
    answer = await desk.handle(DeskCall(operation, who, arguments, request_id="req_1").to_wire())
    return DeskAnswer.from_wire(answer).body


async def test_an_operation_is_given_its_arguments_and_the_callers_scope() -> None:
    body = await ask("usage.show", b'{"days": 7}')
    assert msgspec.json.decode(body) == {"organization": READER.organization, "days": 7}


async def test_bytes_go_out_as_they_are() -> None:
    assert await ask("usage.raw") == b"a,b\n"


async def test_who_lacks_the_permission_is_refused() -> None:
    with pytest.raises(Forbidden, match="usage:read"):
        await ask("usage.show", who=principal(permissions=frozenset({"audit:read"})))


async def test_nobody_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        await ask("usage.show", who=None)


async def test_what_is_in_no_table_does_not_exist() -> None:
    with pytest.raises(NotFound):
        await ask("usage.delete")


@pytest.mark.parametrize("arguments", [b"[]", b'{"days": "x"}', b'{"other": 1}', b"\xff", b""])
async def test_arguments_that_do_not_fit_are_refused(arguments: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await ask("usage.show", arguments)


async def test_a_fault_of_ours_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(Refused) as caught:
        await ask("usage.broken")
    assert caught.value.reason is Refusal.INTERNAL_ERROR
    assert "secret" not in caught.value.message
    assert "req_1" in caplog.text


async def test_a_question_has_a_deadline() -> None:
    with pytest.raises(DeadlineExceeded):
        await ask("usage.endless", query_s=0.001)


async def test_a_time_out_within_an_operation_is_a_fault_of_its_own() -> None:
    with pytest.raises(Refused) as caught:
        await ask("usage.late")
    assert caught.value.reason is Refusal.INTERNAL_ERROR


async def test_more_questions_than_the_bound_are_refused_until_one_is_answered() -> None:
    desk = Desk(OPERATIONS, HubSettings(queries_max=1, query_s=60))
    first = asyncio.create_task(desk.answer(DeskCall("usage.endless", READER)))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await desk.answer(DeskCall("usage.show", READER))
    first.cancel()
    await asyncio.wait({first})
    assert (await desk.answer(DeskCall("usage.raw", READER))).body


def test_an_admin_key_reads_its_organization_and_others_their_project() -> None:
    assert Scope.of(principal(project="")).project is None
    assert Scope.of(principal(project="proj_a")).project == "proj_a"


def test_two_operations_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"usage\.show"):
        Desk([OPERATIONS[0], OPERATIONS[0]], HubSettings())
