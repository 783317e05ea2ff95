from __future__ import annotations

import re
from typing import Any

import pytest

from helixflow.gateway.http.errors import STATUS
from helixflow.gateway.http.permissions import OPEN_ROUTES, OWN_ROUTES, ROUTE_PERMISSIONS
from helixflow.gateway.http.routes.docs import ASSETS
from helixflow.testing.http import ask


@pytest.fixture
async def description(face: Any) -> dict[str, Any]:
    answer = await ask(face, "GET", "/openapi.json")
    assert answer.header("content-type") == "application/json"
    tree: dict[str, Any] = answer.json
    return tree


def references(tree: Any) -> set[str]:
    if isinstance(tree, dict):
        found = {tree["$ref"]} if isinstance(tree.get("$ref"), str) else set()
        return found.union(*map(references, tree.values()))
    return set().union(*map(references, tree)) if isinstance(tree, list) else set()


class TestPage:
    async def test_every_asset_it_names_is_served_by_us(self, face: Any) -> None:
        page = await ask(face, "GET", "/docs")
        assert page.header("content-type").startswith("text/html")
        text = page.body.decode()
        assert not re.search(r"https?:|//", text)
        named = set(re.findall(r'(?:href|src)="([^"]+)"', text))
        assert named == {f"docs/{name}" for name in ASSETS} | {"openapi.json"}
        for path in named:
            answer = await ask(face, "GET", f"/{path}")
            assert answer.status == 200
            assert answer.complete

    async def test_nothing_but_what_is_served_here_may_run_on_it(self, face: Any) -> None:
        policy = (await ask(face, "GET", "/docs")).header("content-security-policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "<script>" not in (await ask(face, "GET", "/docs")).body.decode()

    async def test_it_asks_no_validator_on_the_internet(self, face: Any) -> None:
        script = (await ask(face, "GET", "/docs/docs.js")).body.decode()
        assert "validatorUrl: null" in script
        assert "http" not in script

    @pytest.mark.parametrize("name", ["nothing", "index.html", "..", "%2e%2e", "docs.html"])
    async def test_no_other_file_is_served(self, face: Any, name: str) -> None:
        answer = await ask(face, "GET", f"/docs/{name}")
        assert (answer.status, answer.code) == (404, "resource_not_found")


class TestDescription:
    def test_every_route_is_described(self, description: dict[str, Any]) -> None:
        described = {
            (method.upper(), path)
            for path, operations in description["paths"].items()
            for method in operations
        }
        closed = {(method, path.replace(":path", "")) for method, path in ROUTE_PERMISSIONS}
        assert described == closed | OWN_ROUTES | {
            ("POST" if path.startswith("/v1/auth/") else "GET", path) for path in OPEN_ROUTES
        }

    def test_every_route_says_what_it_does_and_every_reference_leads_somewhere(
        self, description: dict[str, Any]
    ) -> None:
        for operations in description["paths"].values():
            for operation in operations.values():
                assert operation["description"]
                assert "422" not in operation["responses"]
        schemas = description["components"]["schemas"]
        assert {ref.rpartition("/")[2] for ref in references(description)} <= set(schemas)
        assert "HTTPValidationError" not in schemas

    def test_closed_routes_ask_for_a_key_and_name_their_permission(
        self, description: dict[str, Any]
    ) -> None:
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                assert ("security" in operation) == (path not in OPEN_ROUTES)
                own = (method.upper(), path) in OWN_ROUTES
                assert ("Needs the permission `" in operation["description"]) == (
                    path not in OPEN_ROUTES and not own
                )
                assert ("Needs no permission" in operation["description"]) == own
        assert description["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"

    @pytest.mark.parametrize(
        ("path", "chunk"),
        [
            ("/v1/chat/completions", "ChatCompletionChunk"),
            ("/v1/completions", "CompletionChunk"),
        ],
    )
    def test_generations_describe_body_answer_stream_headers_and_errors(
        self, description: dict[str, Any], path: str, chunk: str
    ) -> None:
        operation = description["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        answer = operation["responses"]["200"]
        assert answer["content"]["application/json"]["schema"]["$ref"]
        assert answer["content"]["text/event-stream"]["schema"]["$ref"].endswith(f"/{chunk}")
        assert "x-request-id" in answer["headers"]
        assert "x-ratelimit-remaining-tokens" in answer["headers"]
        errors = {int(status) for status in operation["responses"]} - {200}
        assert errors == {400, 401, 403, 404, 413, 429, 500, 503, 504}
        for status in errors:
            response = operation["responses"][str(status)]
            assert response["content"]["application/json"]["schema"]["$ref"].endswith("ErrorBody")
            assert ("retry-after" in response["headers"]) == (status in (429, 503))
        refused = operation["responses"]["429"]
        assert "x-ratelimit-reset-requests" in refused["headers"]
        assert refused["content"]["application/json"]["example"]["error"]["limit"]["current"] == 600
        text = str(operation["responses"])
        missing = [reason for reason in STATUS if f"`{reason.value}`" not in text]
        assert sorted(missing) == [
            "conflict", "method_not_allowed", "precondition_failed", "resource_not_found",
            "route_not_found", "slow_reader",
        ]  # fmt: skip

    async def test_it_is_made_once(self, face: Any, description: dict[str, Any]) -> None:
        assert (await ask(face, "GET", "/openapi.json")).json == description
