"""What an Ingress asks of the log, and what it is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helixflow.errors import Forbidden, InvalidRequest, NotFound
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.desk import DeskCall
from helixflow.inference.principal import Principal
from helixflow.settings import HubSettings
from helixflow.signals import Event
from helixflow.telemetry.audit.desk import ERASE, READ
from helixflow.telemetry.audit.event_types import chosen, event_type
from helixflow.telemetry.audit.record import PLATFORM, Kind, Part, Record
from helixflow.telemetry.audit.seals import read_seal
from helixflow.telemetry.audit.verify import verify
from helixflow.telemetry.desk import Desk
from helixflow.testing.audit import ORGANIZATION, AuditParts, admin_event, denial, failure

AT = 1_800_000_000
WHOLE = {"reach": "organization"}


def caller(project: str = "", key: str = "key_admin", *permissions: str) -> Principal:
    may = frozenset(permissions or (READ, ERASE))
    return Principal(OrganizationId(ORGANIZATION), ProjectId(project), KeyId(key), "n", may)


class Asker:
    """A desk with a log behind it."""

    def __init__(self, parts: AuditParts) -> None:
        self.parts = parts
        self.desk = Desk(parts.desk.operations(), HubSettings())

    async def raw(self, name: str, principal: Principal | None = None, **arguments: Any) -> bytes:
        call = DeskCall(
            f"audit.{name}", principal or caller(), json.dumps(arguments).encode(),
            request_id="req_asked", source="203.0.113.200",
        )  # fmt: skip
        return (await self.desk.answer(call)).body

    async def ask(self, name: str, principal: Principal | None = None, **arguments: Any) -> Any:
        return json.loads(await self.raw(name, principal, **arguments))

    async def found(self, **filters: Any) -> list[int]:
        answer = await self.ask("query", **{**WHOLE, **filters})
        return [one["sequence"] for one in answer["data"]]


@pytest.fixture
async def asker() -> Asker:
    parts = AuditParts()
    events: list[Event] = [
        admin_event(1, at=AT + 1),
        admin_event(2, "user:create", at=AT + 2, target="user_bob", project=None),
        admin_event(3, "policy:update", at=AT + 3.5, actor="key_admin2", project="proj_2"),
        denial(4, at=AT + 4, model="big"),
        failure(5, at=AT + 5),
    ]
    await parts.sink.write("s", 5, events)
    return Asker(parts)


class TestQuery:
    async def test_records_are_shown_as_openai_shows_them(self, asker: Asker) -> None:
        answer = await asker.ask("query", **WHOLE)
        assert [one["type"] for one in answer["data"]] == [
            "authorization.denied", "policy.updated", "user.added", "api_key.created",
        ]  # fmt: skip
        assert (answer["object"], answer["has_more"]) == ("list", False)
        assert answer["first_id"] == answer["data"][0]["id"]
        assert answer["last_id"] == answer["data"][-1]["id"]
        created = answer["data"][-1]
        assert created["effective_at"] == AT + 1
        assert created["actor"] == {
            "type": "session",
            "session": {"user": {"id": "user_ada"}, "ip_address": "203.0.113.7"},
        }
        assert created["api_key.created"] == {"id": "key_1"}
        assert created["project"] == {"id": "proj_1"}
        assert (created["request_id"], created["count"]) == ("req_1", 1)
        denied = answer["data"][0]
        assert denied["actor"]["api_key"] == {"id": "key_robot", "type": "user"}
        assert denied["authorization.denied"] == {"id": "big", "permission": "model:invoke"}
        assert (denied["outcome"], denied["reason"]) == ("denied", "permission_denied")

    @pytest.mark.parametrize(
        ("filters", "sequences"),
        [
            ({"event_types": ["user.added"]}, [2]),
            ({"event_types": ["api_key.created", "authorization.denied"]}, [4, 1]),
            ({"event_types": ["policy.updated"]}, [3]),
            ({"event_types": ["project:key:create"]}, [1]),
            ({"event_types": ["login.failed"]}, []),
            ({"actor_ids": ["user_ada"]}, [2, 1]),
            ({"actor_ids": ["key_admin2", "key_robot"]}, [4, 3]),
            ({"actor_ids": ["user_nobody", ""]}, []),
            ({"resource_ids": ["user_bob"]}, [2]),
            ({"resource_ids": ["key_1", "big"]}, [4, 1]),
            ({"project_ids": ["proj_2"]}, [3]),
            ({"outcomes": ["denied"]}, [4]),
            ({"gt": AT + 2}, [4, 3]),
            ({"gte": AT + 2}, [4, 3, 2]),
            ({"lt": AT + 3}, [2, 1]),
            ({"lte": AT + 3}, [3, 2, 1]),
            ({"gte": AT + 1.5, "lt": AT + 3.2}, [3, 2]),
            ({"gt": 1e300}, []),
            ({"lt": -5}, []),
            ({"event_types": ["", ".", "a.b", ":"]}, []),
        ],
    )
    async def test_filters_choose(
        self, asker: Asker, filters: dict[str, Any], sequences: list[int]
    ) -> None:
        assert await asker.found(**filters) == sequences

    async def test_pages_go_back_and_forth(self, asker: Asker) -> None:
        first = await asker.ask("query", **WHOLE, limit=2)
        assert [one["sequence"] for one in first["data"]] == [4, 3]
        assert first["has_more"]
        second = await asker.ask("query", **WHOLE, limit=2, after=first["last_id"])
        assert [one["sequence"] for one in second["data"]] == [2, 1]
        assert not second["has_more"]
        back = await asker.ask("query", **WHOLE, limit=1, before=second["last_id"])
        assert [one["sequence"] for one in back["data"]] == [2]
        assert back["has_more"]
        with pytest.raises(NotFound):
            await asker.ask("query", **WHOLE, after="audit_none")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"limit": 0}, {"limit": 101}, {"after": "a", "before": "b"}, {"limit": "x"},
            {"event_types": ["x"] * 101}, {"unknown": 1}, {"reach": "everything"},
        ],
    )  # fmt: skip
    async def test_what_cannot_be_asked_is_refused(
        self, asker: Asker, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidRequest):
            await asker.ask("query", **{**WHOLE, **wrong})

    async def test_failures_are_in_the_platform_s_chain(self, asker: Asker) -> None:
        answer = await asker.ask("query", reach="platform")
        (failed,) = answer["data"]
        assert failed["type"] == "login.failed"
        assert failed["actor"] == {"type": "unknown", "id": None, "ip_address": "203.0.113.0/24"}
        assert await asker.found(reach="platform", actor_ids=["203.0.113.0/24"]) == [1]

    async def test_a_record_that_is_broken_does_not_hide_the_others(self, asker: Asker) -> None:
        held = asker.parts.store._chains[ORGANIZATION].records
        held[1] = type(held[1])(2, held[1].hash, held[1].digest, b"{}")
        answer = await asker.ask("query", **WHOLE)
        assert [one["type"] for one in answer["data"]][2] == "record.broken"


class TestReach:
    async def test_without_more_a_caller_sees_its_own_project(self, asker: Asker) -> None:
        within = caller("proj_2")
        answer = await asker.ask("query", within, project_ids=["proj_1"])
        assert [one["sequence"] for one in answer["data"]] == [3]
        for name in ("export", "seals"):
            with pytest.raises(Forbidden):
                await asker.ask(name, within)
        with pytest.raises(Forbidden):
            await asker.ask("erase_person", within, person="user_ada")

    async def test_another_organization_sees_nothing_of_it(self, asker: Asker) -> None:
        stranger = Principal(
            OrganizationId("org_two"), ProjectId(""), KeyId("key_x"), "n", frozenset({READ, ERASE})
        )
        assert (await asker.ask("query", stranger, **WHOLE))["data"] == []
        with pytest.raises(NotFound):
            await asker.ask("erase_person", stranger, **WHOLE, person="user_ada")
        assert (await asker.ask("seals", stranger, **WHOLE))["data"] == []

    @pytest.mark.parametrize("name", ["query", "export", "seals", "erase_person"])
    async def test_each_question_takes_its_permission(self, asker: Asker, name: str) -> None:
        lacking = caller("", "key_admin", ERASE if name != "erase_person" else READ)
        with pytest.raises(Forbidden):
            await asker.ask(name, lacking, **WHOLE)


class TestExportAndSeals:
    async def test_pages_of_an_export_make_a_file(self, asker: Asker) -> None:
        await asker.parts.sink.write("s", 700, [admin_event(n) for n in range(100, 700)])
        data, cursor, pages = b"", None, 0
        while pages == 0 or cursor is not None:
            body = await asker.raw("export", **WHOLE, cursor=cursor)
            head, _, lines = body.partition(b"\n")
            cursor, data, pages = json.loads(head), data + lines, pages + 1
        assert pages == 2
        assert verify(data.splitlines(keepends=True)).records == 604

    async def test_an_export_of_a_time_has_what_happened_then(self, asker: Asker) -> None:
        body = await asker.raw("export", **WHOLE, since=AT + 2, until=AT + 4)
        report = verify(body.partition(b"\n")[2].splitlines(keepends=True))
        assert (report.first, report.last) == (2, 3)

    async def test_asking_for_seals_makes_one(self, asker: Asker) -> None:
        answer = await asker.ask("seals", **WHOLE)
        (told,) = answer["data"]
        seal = read_seal(told["line"].encode())
        assert (told["sequence"], told["head"]) == (4, seal.statement.head)
        assert told["public_key"] == answer["public_key"] == seal.public.hex()
        assert (await asker.ask("seals", **WHOLE))["data"] == [told]
        assert (await asker.ask("seals", **WHOLE, after=4))["data"] == []
        assert (answer["chain"], answer["has_more"]) == (ORGANIZATION, False)


class TestErasure:
    async def test_a_person_is_forgotten_on_request(self, asker: Asker) -> None:
        asker.parts.clock.set_wall(AT + 100)
        answer = await asker.ask("erase_person", **WHOLE, person="user_ada")
        assert answer["object"] == "organization.audit_log.erasure"
        assert answer["erased_at"] == AT + 100
        told = (await asker.ask("query", **WHOLE))["data"]
        assert told[0]["type"] == "person.erased"
        assert told[0]["actor"]["api_key"]["id"] == "key_admin"
        assert told[0]["actor"]["ip_address"] == "203.0.113.200"
        assert told[0]["request_id"] == "req_asked"
        assert told[0]["person.erased"] == {"id": answer["index"]}
        assert [one["forgotten"] for one in told] == [[], [], [], ["actor"], ["actor"]]
        with pytest.raises(NotFound):
            await asker.ask("erase_person", **WHOLE, person="user_ada")

    async def test_an_address_is_forgotten_too(self, asker: Asker) -> None:
        await asker.ask("erase_person", reach="platform", person="203.0.113.0/24")
        failed = (await asker.ask("query", reach="platform"))["data"][-1]
        assert failed["forgotten"] == ["actor"]

    async def test_nobody_has_itself_forgotten(self, asker: Asker) -> None:
        for person, principal in (
            ("key_admin", caller()),
            ("user_ada", caller("", "user_ada")),
            ("", caller()),
            ("system", caller()),
        ):
            with pytest.raises(InvalidRequest):
                await asker.ask("erase_person", principal, **WHOLE, person=person)


class TestEventTypes:
    @pytest.mark.parametrize(
        ("action", "name"),
        [
            ("project:key:create", "api_key.created"),
            ("project:key:rotate", "api_key.rotated"),
            ("organization:user:disable", "user.deleted"),
            ("organization:member:create", "role.assignment.created"),
            ("project:project:archive", "project.archived"),
            ("organization:token:revoke", "token.revoked"),
            ("project:token:grant", "token.granted"),
            ("organization:user:lock", "user.locked"),
            ("platform:credential:authenticate", "login.failed"),
        ],
    )
    def test_actions_have_openai_s_names_and_are_found_by_them(
        self, action: str, name: str
    ) -> None:
        record = Record(action, Part(), chain=PLATFORM)
        assert event_type(record) == name
        assert action in chosen([name])[0]

    def test_what_was_denied_is_denied_whatever_it_was(self) -> None:
        record = Record("project:model:invoke", Part(), kind=Kind.AUTHORIZATION)
        assert event_type(record) == "authorization.denied"
        assert chosen(["authorization.denied"]) == ((), (Kind.AUTHORIZATION,))
