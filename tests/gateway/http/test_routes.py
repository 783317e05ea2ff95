from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from helixflow.clock import SystemClock
from helixflow.errors import Forbidden, Refusal, Unauthenticated
from helixflow.gateway.http.app import build_app, build_face
from helixflow.gateway.http.gate import Gate
from helixflow.gateway.http.generation import HOT_ROUTES
from helixflow.gateway.http.permissions import OPEN_ROUTES, OWN_ROUTES, ROUTE_PERMISSIONS
from helixflow.settings import GatewaySettings, HttpSettings
from helixflow.testing.desk import FakeDesk
from helixflow.testing.http import HttpAnswer, ask, some_scope
from helixflow.testing.pipeline import KEY, FakeCard, FakeLimit, FakePipeline, FakeReadiness

AUTHORIZED = [(b"authorization", b"Bearer " + KEY.encode())]


async def get(face: Any, path: str, **more: Any) -> HttpAnswer:
    return await ask(face, "GET", path, **{"headers": AUTHORIZED, **more})


class TestPermissions:
    def test_every_route_is_open_or_declares_what_it_asks_for(self) -> None:
        declared = set()
        for route in build_app(FakePipeline(), FakeDesk(), FakeDesk()).routes:
            assert isinstance(route, Route), f"{route} is no plain route"
            for method in route.methods or ():
                if route.path not in OPEN_ROUTES:
                    declared.add((method, route.path))
        assert declared == set(ROUTE_PERMISSIONS) | OWN_ROUTES
        assert not set(ROUTE_PERMISSIONS) & OWN_ROUTES

    def test_the_hot_routes_are_declared_and_described_with_the_others(self) -> None:
        assert {("POST", path) for path in HOT_ROUTES} <= set(ROUTE_PERMISSIONS)

    @pytest.mark.parametrize("path", ["/v1/models", "/v1/models/echo-1", "/nope", "/v1/", "/docs/"])
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
    async def test_without_a_key_nothing_closed_is_told_from_nothing(
        self, face: Any, method: str, path: str
    ) -> None:
        answer = await ask(face, method, path)
        assert (answer.status, answer.code) == (401, "missing_api_key")

    @pytest.mark.parametrize("path", ["/v1/models", "/v1/models/echo-1"])
    async def test_without_the_permission_a_route_is_closed(
        self, face: Any, pipeline: FakePipeline, path: str
    ) -> None:
        pipeline.permissions = frozenset({"model:invoke"})
        answer = await get(face, path)
        assert (answer.status, answer.code) == (403, "permission_denied")

    @pytest.mark.parametrize("kind", ["route", "mount"])
    async def test_a_route_without_a_declaration_is_refused_and_logged(
        self, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = build_app(FakePipeline(), FakeDesk(), FakeDesk())

        async def endpoint(*_: Any) -> None:
            raise AssertionError("it ran")

        route = Route("/secret", endpoint) if kind == "route" else Mount("/secret", endpoint)
        app.router.routes.append(route)
        gate = Gate(app, app.routes, FakePipeline())
        with caplog.at_level(logging.ERROR):
            answer = await get(gate, "/secret" if kind == "route" else "/secret/file")
        assert (answer.status, answer.code) == (403, "permission_denied")
        assert "declares no permission" in caplog.text

    async def test_a_websocket_is_turned_away(self, pipeline: FakePipeline) -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any: ...

        face = build_face(
            pipeline, HttpSettings(), GatewaySettings(), SystemClock(), FakeDesk(), FakeDesk()
        )
        await face(some_scope("GET", "/v1/realtime", type="websocket"), receive, send)
        assert sent == [{"type": "websocket.close", "code": 1008}]

    async def test_the_lifespan_is_answered(self, pipeline: FakePipeline) -> None:
        incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent: list[str] = []

        async def receive() -> Any:
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        face = build_face(
            pipeline, HttpSettings(), GatewaySettings(), SystemClock(), FakeDesk(), FakeDesk()
        )
        await face({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


class TestWrongTurns:
    async def test_an_unknown_route_is_a_404(self, face: Any) -> None:
        answer = await get(face, "/v1/nothing")
        assert (answer.status, answer.code) == (404, "route_not_found")
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert answer.header("x-request-id").startswith("req_")

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("GET", "/v1/chat/completions", "POST"),
            ("DELETE", "/v1/completions", "POST"),
            ("POST", "/v1/models", "GET"),
            ("POST", "/healthz", "GET"),
        ],
    )
    async def test_a_wrong_method_is_a_405_that_says_the_right_one(
        self, face: Any, method: str, path: str, allow: str
    ) -> None:
        answer = await ask(face, method, path, headers=AUTHORIZED)
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert answer.header("allow") == allow

    async def test_a_fault_of_ours_is_a_500_without_details(
        self, face: Any, pipeline: FakePipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline.faulty = True
        with caplog.at_level(logging.ERROR):
            answer = await get(face, "/v1/models")
        assert (answer.status, answer.code) == (500, "internal_error")
        assert "secret" not in answer.body.decode()
        assert answer.header("x-request-id") in caplog.text

    async def test_no_answer_lets_other_sites_in(self, face: Any) -> None:
        for path in ("/healthz", "/v1/models", "/openapi.json", "/nope"):
            answer = await get(face, path, headers=[*AUTHORIZED, (b"origin", b"https://evil")])
            assert not [name for name, _ in answer.headers if name.startswith("access-control")]


class TestErrorsOfTheFramework:
    """What Starlette and FastAPI raise by themselves, on routes as later packages add them."""

    async def test_a_wrong_argument_is_a_400_that_names_it(self, pipeline: FakePipeline) -> None:
        async def endpoint(limit: int) -> int:
            return limit

        app = build_app(pipeline, FakeDesk(), FakeDesk())
        app.add_api_route("/probe", endpoint)
        answer = await get(app, "/probe", query_string=b"limit=many")
        assert (answer.status, answer.code) == (400, "invalid_value")
        assert answer.json["error"]["param"] == "limit"

    async def test_other_errors_keep_openais_form(self, pipeline: FakePipeline) -> None:
        async def endpoint() -> None:
            raise HTTPException(418, "I am a teapot.")

        app = build_app(pipeline, FakeDesk(), FakeDesk())
        app.add_api_route("/probe", endpoint)
        answer = await get(app, "/probe")
        assert (answer.status, answer.code) == (400, "invalid_value")
        assert answer.json["error"]["message"] == "I am a teapot."

    async def test_a_refusal_of_a_route_is_answered_as_such(self, pipeline: FakePipeline) -> None:
        async def endpoint() -> None:
            raise Forbidden(Refusal.PERMISSION_DENIED, "No.")

        app = build_app(pipeline, FakeDesk(), FakeDesk())
        app.add_api_route("/probe", endpoint)
        assert (await get(app, "/probe")).status == 403


class TestModels:
    async def test_are_listed_with_their_state(self, face: Any, pipeline: FakePipeline) -> None:
        pipeline.cards = (FakeCard("a"), FakeCard("b", state="loading", detail="x", progress=0.5))
        tree = (await get(face, "/v1/models")).json
        assert tree["object"] == "list"
        assert [model["id"] for model in tree["data"]] == ["a", "b"]
        assert tree["data"][1] == {
            "id": "b", "object": "model", "created": 1_700_000_000, "owned_by": "helixflow",
            "state": "loading", "detail": "x", "progress": 0.5,
        }  # fmt: skip

    async def test_one_is_found_by_its_name_slashes_included(
        self, face: Any, pipeline: FakePipeline
    ) -> None:
        pipeline.cards = (FakeCard("org/model"),)
        answer = await get(face, "/v1/models/org/model")
        assert (answer.status, answer.json["id"]) == (200, "org/model")

    async def test_an_unknown_one_is_a_404(self, face: Any) -> None:
        answer = await get(face, "/v1/models/ghost")
        assert (answer.status, answer.code) == (404, "model_not_found")
        assert answer.json["error"]["param"] == "model"

    async def test_are_refused_where_no_gate_stands_before_them(self) -> None:
        answer = await ask(build_app(FakePipeline(), FakeDesk(), FakeDesk()), "GET", "/v1/models")
        assert (answer.status, answer.code) == (401, "missing_api_key")


class TestOwnLimits:
    @pytest.mark.parametrize("permissions", [frozenset(), frozenset({"model:invoke"})])
    async def test_every_known_caller_sees_its_own(
        self, face: Any, pipeline: FakePipeline, permissions: frozenset[str]
    ) -> None:
        pipeline.permissions = permissions
        unknown = FakeLimit("spend_per_month", "organization", 12.5, None, None)
        pipeline.own_limits = (FakeLimit(), unknown)
        answer = await get(face, "/v1/limits")
        assert (answer.status, answer.header("cache-control")) == (200, "no-store")
        assert answer.json == {
            "object": "list",
            "data": [
                {
                    "object": "limit", "name": "requests_per_minute", "scope": "key=key_1",
                    "limit": 60.0, "remaining": 59.0, "reset_seconds": 1.5,
                },
                {
                    "object": "limit", "name": "spend_per_month", "scope": "organization",
                    "limit": 12.5, "remaining": None, "reset_seconds": None,
                },
            ],
        }  # fmt: skip

    async def test_a_stranger_sees_none(self, face: Any) -> None:
        answer = await ask(face, "GET", "/v1/limits")
        assert (answer.status, answer.code) == (401, "missing_api_key")


class TestHealth:
    async def test_the_process_is_alive(self, face: Any) -> None:
        answer = await ask(face, "GET", "/healthz")
        assert (answer.status, answer.json) == (200, {"status": "ok"})

    async def test_it_is_ready(self, face: Any) -> None:
        answer = await ask(face, "GET", "/readyz")
        assert (answer.status, answer.json["ready"]) == (200, True)
        assert answer.header("cache-control") == "no-store"

    async def test_it_says_what_is_not_ready(self, face: Any, pipeline: FakePipeline) -> None:
        card = FakeCard("slow", state="loading", detail="reading weights", progress=0.4)
        pipeline.ready = FakeReadiness(False, ("model slow: reading weights",), (card,))
        answer = await ask(face, "GET", "/readyz")
        assert answer.status == 503
        assert answer.json == {
            "ready": False,
            "waiting": ["model slow: reading weights"],
            "models": [
                {"id": "slow", "state": "loading", "detail": "reading weights", "progress": 0.4}
            ],
        }


def test_a_described_route_is_never_run_by_fastapi() -> None:
    for route in build_app(FakePipeline(), FakeDesk(), FakeDesk()).routes:
        if isinstance(route, Route) and route.path in HOT_ROUTES:
            coroutine = route.endpoint(None)
            with pytest.raises(NotImplementedError):
                coroutine.send(None)


def test_the_fake_knows_one_key() -> None:
    with pytest.raises(Unauthenticated):
        FakePipeline().authenticate("x").send(None)
