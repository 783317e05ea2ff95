"""The audit log's routes: what they ask of Auth and of Telemetry, and how they answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from helixflow.clock import SystemClock
from helixflow.errors import Conflict, Forbidden, Refusal, Unavailable
from helixflow.gateway.http.app import build_face
from helixflow.gateway.http.pages import PagedResponse
from helixflow.gateway.http.permissions import ROUTE_PERMISSIONS
from helixflow.gateway.http.shield import Shield
from helixflow.identity.desk import OPERATIONS
from helixflow.identity.permissions import Permission, Role
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.settings import GatewaySettings, HttpSettings
from helixflow.telemetry.audit.verify import verify
from helixflow.telemetry.outbox_shipping import administration
from helixflow.testing.audit import admin_event
from helixflow.testing.desk import FakeDesk
from helixflow.testing.http import HttpAnswer, ask, serving
from helixflow.testing.pipeline import KEY, FakePipeline
from helixflow.testing.platform import PASSWORD, Platform

LOGS = "/v1/organization/audit_logs"
TOKEN, REVOKE = "/v1/auth/token", "/v1/auth/revoke"
KEYED = (b"authorization", b"Bearer " + KEY.encode())


@pytest.fixture(autouse=True)
def owner(pipeline: FakePipeline) -> None:
    """The caller may do everything."""
    pipeline.permissions = frozenset(Permission)


async def get(face: Any, path: str, **query: Any) -> HttpAnswer:
    asked = urlencode(query, doseq=True).encode()
    return await ask(face, "GET", path, headers=[KEYED], query_string=asked)


async def erase(face: Any, **body: Any) -> HttpAnswer:
    data = json.dumps(body).encode()
    headers = [KEYED, (b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(data)).encode()))
    return await ask(face, "POST", f"{LOGS}/erasures", headers=headers, pieces=[data])


def asked(desk: FakeDesk) -> list[tuple[str, Any]]:
    return [(call.operation, json.loads(call.arguments)) for call in desk.calls]


class TestRoutes:
    async def test_a_query_goes_to_auth_and_then_to_telemetry(
        self, face: Any, desk: FakeDesk, records: FakeDesk
    ) -> None:
        records.answer = DeskAnswer(b'{"data":[]}')
        query = {
            "effective_at[gte]": 5, "effective_at[lt]": 9, "event_types[]": ["a", "b"],
            "event_types": "c", "actor_ids": "u", "resource_ids[]": "r", "outcomes": "denied",
            "after": "audit_1", "limit": 7,
        }  # fmt: skip
        answer = await get(face, LOGS, **query)
        assert (answer.status, answer.json) == (200, {"data": []})
        assert answer.header("cache-control") == "no-store"
        assert asked(desk) == [("audit.read", {})]
        ((name, told),) = asked(records)
        assert name == "audit.query"
        assert told == {
            "gt": None, "gte": 5, "lt": 9, "lte": None, "event_types": ["c", "a", "b"],
            "actor_ids": ["u"], "project_ids": [], "resource_ids": ["r"],
            "outcomes": ["denied"], "after": "audit_1", "before": None, "limit": 7,
            "reach": "organization",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("query", "operation", "arguments", "reach"),
        [
            ({}, "audit.read", {}, "organization"),
            ({"project_ids[]": "p"}, "audit.read_project", {"project_id": "p"}, "named"),
            ({"project_ids": ["p", "q"]}, "audit.read", {}, "organization"),
            ({"chain": "platform"}, "audit.read_platform", {}, "platform"),
            ({"chain": "platform", "project_ids": "p"}, "audit.read_platform", {}, "platform"),
        ],
    )
    async def test_auth_is_asked_about_the_place_in_question(
        self,
        face: Any,
        desk: FakeDesk,
        records: FakeDesk,
        query: dict[str, Any],
        operation: str,
        arguments: dict[str, Any],
        reach: str,
    ) -> None:
        await get(face, LOGS, **query)
        assert asked(desk) == [(operation, arguments)]
        assert asked(records)[0][1]["reach"] == reach

    async def test_whom_auth_refuses_telemetry_is_not_asked_for(
        self, face: Any, desk: FakeDesk, records: FakeDesk
    ) -> None:
        desk.refuse = Forbidden(Refusal.PERMISSION_DENIED, "No.")
        for path in (LOGS, f"{LOGS}/export", f"{LOGS}/seals"):
            assert (await get(face, path)).status == 403
        assert (await erase(face, person="user_a")).status == 403
        assert records.calls == []

    @pytest.mark.parametrize("path", [LOGS, f"{LOGS}/export", f"{LOGS}/seals"])
    async def test_telemetry_that_is_away_is_a_503(
        self, face: Any, records: FakeDesk, path: str
    ) -> None:
        records.refuse = Unavailable(Refusal.TELEMETRY_UNAVAILABLE, "Away.", retry_after_s=1.0)
        assert (await get(face, path)).code == "telemetry_unavailable"

    async def test_an_erasure_names_a_person_and_a_chain(
        self, face: Any, desk: FakeDesk, records: FakeDesk
    ) -> None:
        assert (await erase(face, person="user_a")).status == 200
        assert (await erase(face, person="user_a", chain="platform")).status == 200
        assert [name for name, _ in asked(desk)] == ["audit.erase", "audit.erase_platform"]
        assert asked(records) == [
            ("audit.erase_person", {"person": "user_a", "reach": reach})
            for reach in ("organization", "platform")
        ]
        for body in ({}, {"person": ""}, {"person": 1}, {"person": "a", "chain": "b"}, {"x": 1}):
            assert (await erase(face, **body)).status == 400

    async def test_seals_are_asked_for_in_parts(
        self, face: Any, desk: FakeDesk, records: FakeDesk
    ) -> None:
        await get(face, f"{LOGS}/seals", after=4, limit=2)
        assert asked(records) == [
            ("audit.seals", {"after": 4, "limit": 2, "reach": "organization"})
        ]

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": 0}, {"limit": 101}, {"effective_at[gt]": "x"}, {"chain": "other"},
            {"outcomes": "x"}, {"event_types": ["x"] * 101}, {"after": "x" * 300},
        ],
    )  # fmt: skip
    async def test_a_query_that_cannot_be_is_refused(
        self, face: Any, records: FakeDesk, query: dict[str, Any]
    ) -> None:
        assert (await get(face, LOGS, **query)).status == 400
        assert records.calls == []

    def test_what_auth_is_asked_takes_the_permission_of_the_route(self) -> None:
        for name, permission in (
            ("audit.read", Permission.AUDIT_READ),
            ("audit.read_platform", Permission.AUDIT_READ),
            ("audit.read_project", Permission.AUDIT_READ),
            ("audit.erase", Permission.AUDIT_ERASE),
            ("audit.erase_platform", Permission.AUDIT_ERASE),
        ):
            assert OPERATIONS[name].permission is permission
            assert OPERATIONS[name].platform == name.endswith("platform")
        assert ROUTE_PERMISSIONS["GET", LOGS] is Permission.AUDIT_READ
        assert ROUTE_PERMISSIONS["POST", f"{LOGS}/erasures"] is Permission.AUDIT_ERASE


class Pages(FakeDesk):
    """Telemetry with an export of three pages; `breaks` at the second."""

    breaks = False

    async def call(self, call: DeskCall) -> DeskAnswer:
        arguments = json.loads(call.arguments)
        number = (arguments.get("cursor") or {"page": 0})["page"]
        self.calls.append(call)
        if self.breaks and number == 1:
            raise Conflict(Refusal.CONFLICT, "Records were dropped.")
        following = {"page": number + 1} if number < 2 else None
        return DeskAnswer(json.dumps(following).encode() + f"\npage {number}\n".encode())


def paged(pages: Pages) -> Any:
    """A face with these pages behind it."""
    pipeline = FakePipeline()
    pipeline.permissions = frozenset(Permission)
    face = build_face(pipeline, HttpSettings(), GatewaySettings(), SystemClock(), FakeDesk(), pages)
    return Shield(face, 4096)


class TestExport:
    async def test_pages_become_one_file(self) -> None:
        pages = Pages()
        answer = await get(paged(pages), f"{LOGS}/export", since=5)
        assert (answer.status, answer.body) == (200, b"page 0\npage 1\npage 2\n")
        assert answer.header("content-type").startswith("application/x-ndjson")
        assert "audit-organization.jsonl" in answer.header("content-disposition")
        assert [call.operation for call in pages.calls] == ["audit.export"] * 3
        first = json.loads(pages.calls[0].arguments)
        assert first == {"since": 5, "until": None, "reach": "organization"}

    async def test_a_file_that_cannot_be_finished_breaks_off(self) -> None:
        pages = Pages()
        pages.breaks = True
        async with serving(paged(pages)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"GET {LOGS}/export HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()
            )
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
        assert b"page 0\n" in answer
        assert not answer.endswith(b"0\r\n\r\n")  # the end of a body in chunks

    async def test_a_reader_that_takes_nothing_is_given_up(self) -> None:
        async def endless() -> Any:
            while True:
                yield b"x"

        async def stuck(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        response = PagedResponse(endless(), "text/plain", {}, slow_reader_s=0.01)
        with pytest.raises(TimeoutError):
            await response.stream_response(stuck)


class TestWithEverythingBehindIt:
    async def test_who_audits_one_project_reads_that_one_and_no_more(self, tmp_path: Any) -> None:
        async with Platform.open(tmp_path) as platform:
            tenant = await platform.tenant("one")
            actor = platform.owner(tenant)
            mine = await platform.projects.create(actor, "mine")
            viewer = tenant.people[Role.VIEWER]
            await platform.users.set_role(actor, viewer, mine.id, Role.AUDITOR)
            events = [
                admin_event(n, organization=tenant.organization, project=project)
                for n, project in enumerate((mine.id, tenant.project), 1)
            ]
            await platform.audit.sink.write("test", 2, events)
            token = await platform.token(tenant, Role.VIEWER, mine.id)

            async def found(query: str) -> tuple[int, list[str]]:
                answer = await platform.ask("GET", LOGS + query, token)
                data = answer.json.get("data", [])
                return answer.status, [one["project"]["id"] for one in data]

            assert await found(f"?project_ids={mine.id}") == (200, [mine.id])
            for query in ("", f"?project_ids={tenant.project}", "?chain=platform"):
                assert (await found(query))[0] == 403
            for path in ("/export", "/seals"):
                assert (await platform.ask("GET", LOGS + path, token)).status == 403
            auditor = await platform.token(tenant, Role.AUDITOR)
            whole = await platform.ask("GET", LOGS, auditor)
            assert len(whole.json["data"]) == 2
            export = await platform.ask("GET", f"{LOGS}/export", auditor)
            assert verify(export.body.splitlines(keepends=True)).records == 2

    async def test_the_platform_s_chain_is_for_the_first_organization(self, tmp_path: Any) -> None:
        async with Platform.open(tmp_path) as platform:
            tenant = await platform.tenant("one")
            first = platform.prepared.admin_key
            assert first is not None
            for key, status in ((tenant.admin_key, 403), (first.reveal(), 200)):
                for path in ("", "/export", "/seals"):
                    answer = await platform.ask("GET", f"{LOGS}{path}?chain=platform", key)
                    assert answer.status == status, path

    async def test_a_change_at_the_desk_is_told_with_all_that_the_log_shows(
        self, tmp_path: Any
    ) -> None:
        """From the request to the auditor, by the outbox."""
        async with Platform.open(tmp_path) as platform:
            tenant = await platform.tenant("one")
            asked = await platform.ask(
                "POST", "/v1/organization/projects", tenant.admin_key, {"name": "new"}
            )
            await ship(platform)
            logs = (await platform.ask("GET", LOGS, tenant.admin_key)).json["data"]
            (created,) = [
                one for one in logs if one["type"] == "project.created" and one["request_id"]
            ]
            assert created["project.created"] == {"id": asked.json["id"], "data": {"name": "new"}}
            assert created["request_id"] == asked.header("x-request-id")
            assert created["actor"]["ip_address"] == "203.0.113.7"

    async def test_who_was_granted_a_token_and_who_gave_it_back_is_told_without_the_token(
        self, tmp_path: Any
    ) -> None:
        async with Platform.open(tmp_path) as platform:
            tenant = await platform.tenant("one")
            who = {"client_id": tenant.account, "client_secret": tenant.service_key}
            person = {"username": tenant.email(Role.DEVELOPER), "password": PASSWORD}
            place = {"organization": tenant.organization, "project": tenant.project}
            robot = await grant(platform, grant_type="client_credentials", **who)
            first = await grant(platform, grant_type="password", **person, **place)
            spare = first.json["refresh_token"]
            second = await grant(platform, grant_type="refresh_token", refresh_token=spare)
            wrong = await platform.ask("POST", TOKEN, form={"grant_type": "password", **who})
            assert wrong.status == 400
            gone = second.json["refresh_token"]
            assert (await platform.ask("POST", REVOKE, form={"token": gone})).status == 200
            await ship(platform)
            export = await platform.ask("GET", f"{LOGS}/export", tenant.admin_key)
            logs = await platform.ask("GET", f"{LOGS}?limit=100", tenant.admin_key)
            told = [one for one in logs.json["data"] if one["type"] == "token.granted"]
            (revoked,) = [one for one in logs.json["data"] if one["type"] == "token.revoked"]
            (key,) = {claims_of(robot)["key"]}
            family = claims_of(first)["family"]
            for one, answer, by, stands_on in zip(
                told,
                (second, first, robot),
                ("refresh_token", "password", "client_credentials"),
                ({"family": family}, {"family": family}, {"key": key}),
                strict=True,
            ):
                claims = claims_of(answer)
                assert one["token.granted"] == {
                    "id": claims["jti"],
                    "data": {
                        "expires_at": str(claims["exp"]),
                        "grant_type": by,
                        "scopes": claims["scope"].replace(" ", ", "),
                        **stands_on,
                    },
                }
                assert (one["outcome"], one["count"]) == ("done", 1)
                assert one["request_id"] == answer.header("x-request-id")
                assert one["project"] == {"id": tenant.project}
            dev = {"id": tenant.people[Role.DEVELOPER]}
            assert told[1]["actor"]["session"] == {"user": dev, "ip_address": "203.0.113.7"}
            assert told[2]["actor"]["api_key"]["id"] == tenant.account
            assert (revoked["token.revoked"]["id"], revoked["actor"]["session"]["user"]) == (
                family,
                dev,
            )
            assert verify(export.body.splitlines(keepends=True)).records >= 4
            for answer in (robot, first, second):
                for secret in (answer.json["access_token"], answer.json.get("refresh_token")):
                    assert secret is None or secret not in (logs.body + export.body).decode()


async def grant(platform: Platform, **form: str) -> HttpAnswer:
    answer = await platform.ask("POST", TOKEN, form=form)
    assert answer.status == 200, answer.body
    return answer


def claims_of(answer: HttpAnswer) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        answer.json["access_token"], options={"verify_signature": False}
    )
    return claims


async def ship(platform: Platform) -> None:
    """What Auth's outbox shipping does."""
    rows = await platform.prepared.stores.outbox.head(1000)
    events = [administration(row.event) for row in rows]
    await platform.audit.sink.write("outbox", len(events), events)
