"""The administration's routes before a fake desk: what they ask it, and how they answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from helixflow.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    PreconditionFailed,
    Refusal,
    Refused,
    Unauthenticated,
    Unavailable,
)
from helixflow.gateway.http.permissions import ROUTE_PERMISSIONS
from helixflow.identity.desk import OPERATIONS
from helixflow.identity.desk_operation import decode
from helixflow.identity.permissions import Permission
from helixflow.inference.desk import DeskAnswer
from helixflow.testing.desk import FakeDesk, WiredDesk
from helixflow.testing.http import HttpAnswer, ask
from helixflow.testing.pipeline import KEY, FakePipeline

ROOT = "/v1/organization"
KEYED = (b"authorization", b"Bearer " + KEY.encode())
JSON = (b"content-type", b"application/json")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
SOME: dict[str, Any] = {
    "admin_api_keys": {"name": "x"},
    "api_keys": {"name": "x"},
    "explain": {"project_id": "p", "action": "model:invoke", "model": "m"},
    "invites": {"email": "a@b", "role": "viewer"},
    "limits": {"entity": "organization", "name": "tokens_per_day", "amount": 7},
    "organization": {"name": "x", "tier": None},
    "policies": {"name": "x", "source": "permit (principal, action, resource);"},
    "projects": {"name": "x"},
    "service_accounts": {"name": "x"},
    "users": {"email": "a@b", "role": "viewer"},
    "{key_id}": {"name": "x"},
    "{limit_id}": {"amount": 7},
    "{policy_id}": {"enabled": True},
    "{project_id}": {"name": "x"},
    "{rate_limit_id}": {"max_requests_per_1_minute": 7, "max_tokens_per_1_minute": None},
    "{user_id}": {"role": "viewer"},
}
KEPT = f"{ROOT}/projects/{{project_id}}/content"
RECORDS = (f"{ROOT}/audit_logs", f"{ROOT}/costs", f"{ROOT}/usage/", KEPT)
ROUTES = [
    (method, path)
    for method, path in ROUTE_PERMISSIONS
    if path.startswith(ROOT) and not path.startswith(RECORDS)
]


@pytest.fixture(autouse=True)
def owner(pipeline: FakePipeline) -> None:
    """The caller may do everything."""
    pipeline.permissions = frozenset(Permission)


async def send(
    face: Any, method: str, path: str, body: Any = None, *headers: tuple[bytes, bytes], **more: Any
) -> HttpAnswer:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    length = (b"content-length", str(len(data)).encode())
    kind = () if any(name == b"content-type" for name, _ in headers) else (JSON,)
    return await ask(
        face, method, path, headers=[KEYED, length, *kind, *headers], pieces=[data], **more
    )


class TestOrganization:
    @pytest.mark.parametrize(("method", "path"), ROUTES)
    async def test_a_route_asks_for_what_the_desk_understands_and_permits(
        self, face: Any, desk: FakeDesk, method: str, path: str
    ) -> None:
        body = SOME.get(path.rpartition("/")[2]) if method == "POST" else None
        path_of = path.replace("{rate_limit_id}", "rl_echo-1")
        if path.endswith("projects/{project_id}/users") and method == "POST":
            body = {"user_id": "u", "role": "viewer"}
        answer = await send(face, method, path_of.replace("{", "").replace("}", ""), body)
        assert (answer.status, answer.header("cache-control")) == (200, "no-store")
        (call,) = desk.calls
        operation = OPERATIONS[call.operation]
        assert operation.permission == ROUTE_PERMISSIONS[method, path]
        assert operation.changes == (method != "GET" and not path.endswith("explain"))
        decode(operation.arguments, call.arguments)
        assert call.principal is not None
        assert call.source == "203.0.113.7"

    async def test_every_operation_has_its_route(self, face: Any, desk: FakeDesk) -> None:
        own = [name for name in OPERATIONS if not name.startswith(("audit.", "content."))]
        assert len(own) == len(ROUTES)

    async def test_a_list_of_limits_is_about_what_is_asked_for(
        self, face: Any, desk: FakeDesk
    ) -> None:
        query = b"entity=key&entity_id=key_1"
        await send(face, "GET", f"{ROOT}/limits", query_string=query)
        (call,) = desk.calls
        told = {"after": None, "limit": 20, "entity": "key", "entity_id": "key_1"}
        assert json.loads(call.arguments) == told
        answer = await send(face, "GET", f"{ROOT}/limits", query_string=b"entity=team")
        assert (answer.status, answer.json["error"]["param"]) == (400, "entity")

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"amount": 0}, "amount"),
            ({"amount": 1e300}, "amount"),
            ({"amount": "7"}, "amount"),
            ({"amount": True}, "amount"),
            ({"name": "rpm"}, "name"),
            ({"per": []}, "per"),
            ({"per": ["key", "model", "user"]}, "per"),
            ({"per": ["team"]}, "per.0"),
            ({"entity": "team"}, "entity"),
            ({"id": "lim_mine"}, "id"),
        ],
    )
    async def test_a_limit_is_exactly_what_is_described(
        self, face: Any, desk: FakeDesk, body: dict[str, Any], param: str
    ) -> None:
        answer = await send(face, "POST", f"{ROOT}/limits", {**SOME["limits"], **body})
        assert (answer.status, answer.json["error"]["param"]) == (400, param)
        assert desk.calls == []

    @pytest.mark.parametrize("rate", ["rl_other", "echo-1", "rl_"])
    async def test_a_rate_of_a_model_that_is_not_there_is_not_there(
        self, face: Any, desk: FakeDesk, rate: str
    ) -> None:
        path = f"{ROOT}/projects/p/rate_limits/{rate}"
        answer = await send(face, "POST", path, {"max_requests_per_1_minute": 7})
        assert (answer.status, answer.code) == (404, "resource_not_found")
        assert desk.calls == []

    async def test_headers_travel_and_the_tag_comes_back(self, face: Any, desk: FakeDesk) -> None:
        desk.answer = DeskAnswer(b'{"id":"p"}', '"tag"')
        answer = await send(
            face, "POST", f"{ROOT}/projects/p", {"name": "x"},
            (b"idempotency-key", b"once"), (b"if-match", b'"seen"'),
        )  # fmt: skip
        assert (answer.header("etag"), answer.json) == ('"tag"', {"id": "p"})
        (call,) = desk.calls
        assert (call.idempotency_key, call.if_match) == ("once", '"seen"')
        assert call.request_id == answer.header("x-request-id")
        assert json.loads(call.arguments) == {"name": "x", "project_id": "p"}
        assert "name" not in repr(call)
        assert "tag" not in repr(desk.answer)

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"name": "x", "organization": "org_other"}, "organization"),
            ({"name": "x", "project_id": "proj_other"}, "project_id"),
            ({"name": "x", "x" * 999: 1}, "x" * 256),
            ({"name": 7}, "name"),
            ({"name": "x" * 257}, "name"),
            ({}, "name"),
            ([], None),
            (b"{", "1"),
            (b"\xff", None),
            (b"", None),
        ],
    )
    async def test_a_body_is_exactly_what_is_described(
        self, face: Any, desk: FakeDesk, body: Any, param: str | None
    ) -> None:
        answer = await send(face, "POST", f"{ROOT}/projects", body)
        assert (answer.status, answer.code) == (400, "invalid_value")
        assert answer.json["error"]["param"] == param
        assert desk.calls == []

    @pytest.mark.parametrize(
        "query", [b"limit=0", b"limit=101", b"limit=x", b"after=" + b"x" * 257]
    )
    async def test_a_page_is_bounded(self, face: Any, desk: FakeDesk, query: bytes) -> None:
        answer = await send(face, "GET", f"{ROOT}/projects", query_string=query)
        assert (answer.status, answer.code) == (400, "invalid_value")

    @pytest.mark.parametrize(
        ("refused", "status"),
        [
            (Conflict(Refusal.CONFLICT, "no"), 409),
            (PreconditionFailed(Refusal.PRECONDITION_FAILED, "no"), 412),
            (Unavailable(Refusal.AUTH_UNAVAILABLE, "no", retry_after_s=1.0), 503),
            (Refused(Refusal.INTERNAL_ERROR, "no"), 500),
        ],
    )
    async def test_what_the_desk_refuses_is_told(
        self, face: Any, desk: FakeDesk, refused: Refused, status: int
    ) -> None:
        desk.refuse = refused
        answer = await send(face, "POST", f"{ROOT}/projects", {"name": "x"})
        assert (answer.status, answer.code) == (status, refused.reason.value)
        assert bool(answer.all("retry-after")) == (status == 503)

    async def test_every_refusal_is_described(self, face: Any) -> None:
        paths = (await ask(face, "GET", "/openapi.json")).json["paths"]
        update = paths[f"{ROOT}/projects/{{project_id}}"]["post"]
        assert set(update["responses"]) >= {
            "200", "400", "401", "403", "404", "409", "412", "413", "500", "503",
        }  # fmt: skip
        assert "etag" in update["responses"]["200"]["headers"]
        named = {parameter["name"] for parameter in update["parameters"]}
        assert named == {"project_id", "Idempotency-Key", "If-Match"}


class TestTokens:
    async def test_a_form_and_json_ask_the_same(self, face: Any, desk: FakeDesk) -> None:
        desk.answer = DeskAnswer(b'{"access_token":"ey"}')
        fields = {"grant_type": "refresh_token", "refresh_token": "hx-rt-1"}
        form = b"grant_type=refresh_token&refresh_token=hx-rt-1&scope="
        one = await send(face, "POST", "/v1/auth/token", form, FORM)
        two = await send(face, "POST", "/v1/auth/token", fields)
        for answer in (one, two):
            assert answer.json == {"access_token": "ey"}
            assert (answer.header("cache-control"), answer.header("pragma")) == (
                "no-store", "no-cache",
            )  # fmt: skip
        assert [json.loads(call.arguments) for call in desk.calls] == [fields, fields]
        assert {call.principal for call in desk.calls} == {None}

    async def test_a_client_says_who_it_is_by_basic_authentication(
        self, face: Any, desk: FakeDesk
    ) -> None:
        basic = b"Basic " + base64.b64encode(b"svc%5F1:hx-svc-1")
        headers = [(b"authorization", basic), FORM]
        body = b"grant_type=client_credentials"
        answer = await ask(face, "POST", "/v1/auth/token", headers=headers, pieces=[body])
        assert answer.status == 200
        arguments = json.loads(desk.calls[0].arguments)
        assert (arguments["client_id"], arguments["client_secret"]) == ("svc_1", "hx-svc-1")
        twice = await ask(
            face, "POST", "/v1/auth/token", headers=headers, pieces=[body + b"&client_id=x"]
        )
        assert (twice.status, twice.json["error"]) == (400, "invalid_request")
        for wrong in (b"Basic ///", b"Basic " + base64.b64encode(b"nocolon")):
            answer = await ask(
                face, "POST", "/v1/auth/token", headers=[(b"authorization", wrong), FORM],
                pieces=[body],
            )  # fmt: skip
            assert (answer.status, answer.json["error"]) == (401, "invalid_client")

    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (b"grant_type=a&grant_type=b", [FORM]),
            (b"x=%ff", [FORM]),
            (b"\xff", [FORM]),
            (b"&".join(b"x%d=1" % number for number in range(40)), [FORM]),
            (b"admin=1", [FORM]),
            (b"organization=..", [FORM]),
            (b"[]", [JSON]),
            (b"{", [JSON]),
            (b"[" * 5000, [JSON]),
            (b'{"grant_type":1}', [JSON]),
            (b"grant_type=password", [(b"content-type", b"text/plain")]),
        ],
    )
    async def test_a_malformed_request_is_refused_in_oauths_form(
        self, face: Any, desk: FakeDesk, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> None:
        for path in ("/v1/auth/token", "/v1/auth/revoke"):
            answer = await ask(face, "POST", path, headers=headers, pieces=[body[:4000]])
            assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        assert desk.calls == []

    @pytest.mark.parametrize(
        ("refused", "kind", "status", "error"),
        [
            (Unauthenticated(Refusal.INVALID_API_KEY, "no"), "password", 400, "invalid_grant"),
            (
                Unauthenticated(Refusal.INVALID_API_KEY, "no"),
                "client_credentials",
                401,
                "invalid_client",
            ),
            (Forbidden(Refusal.PERMISSION_DENIED, "no"), "password", 400, "invalid_grant"),
            (
                InvalidRequest(Refusal.INVALID_VALUE, "no", param="scopes"),
                "password",
                400,
                "invalid_scope",
            ),
            (
                InvalidRequest(Refusal.UNSUPPORTED_PARAMETER, "no"),
                "implicit",
                400,
                "unsupported_grant_type",
            ),
        ],
    )
    async def test_refusals_have_oauths_words(
        self, face: Any, desk: FakeDesk, refused: Refused, kind: str, status: int, error: str
    ) -> None:
        desk.refuse = refused
        answer = await send(face, "POST", "/v1/auth/token", {"grant_type": kind})
        assert (answer.status, answer.json["error"]) == (status, error)
        assert bool(answer.all("www-authenticate")) == (status == 401)

    async def test_auth_away_is_told_with_a_time_to_come_again(
        self, face: Any, desk: FakeDesk
    ) -> None:
        away = WiredDesk(desk)  # type: ignore[arg-type]
        away.away = True
        with pytest.raises(Unavailable) as caught:
            await away.call(None)  # type: ignore[arg-type]
        desk.refuse = caught.value
        for path, body in (
            ("/v1/auth/token", {"grant_type": "password"}),
            ("/v1/auth/revoke", {"token": "x"}),
            ("/v1/auth/accept", {"invitation": "x", "password": "long enough, surely"}),
        ):
            answer = await send(face, "POST", path, body)
            assert (answer.status, answer.code) == (503, "auth_unavailable")
            assert answer.header("retry-after") == "1"

    async def test_revoking_and_accepting_ask_the_desk(self, face: Any, desk: FakeDesk) -> None:
        hinted = b"token=hx-rt-1&token_type_hint=refresh_token"
        assert (await send(face, "POST", "/v1/auth/revoke", hinted, FORM)).status == 200
        accepted = {"invitation": "hx-inv-1", "password": "long enough, surely"}
        assert (await send(face, "POST", "/v1/auth/accept", accepted)).status == 200
        told = [(call.operation, json.loads(call.arguments)) for call in desk.calls]
        assert told == [("token.revoke", {"token": "hx-rt-1"}), ("invite.accept", accepted)]


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/.well-known/jwks.json", "jwks.read"),
        ("/.well-known/openid-configuration", "openid.read"),
    ],
)
async def test_what_is_published_is_open_and_may_be_kept(
    face: Any, desk: FakeDesk, path: str, operation: str
) -> None:
    answer = await ask(face, "GET", path)
    assert (answer.status, answer.header("cache-control")) == (200, "public, max-age=300")
    assert [call.operation for call in desk.calls] == [operation]
