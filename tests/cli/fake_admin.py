"""The administration's routes in memory: their paths, shapes and refusals, without their rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .fake_platform import Handler

ADMIN_KEY = "hx-adm-test"
NOW = 1_800_000_000
_ROOT = "/v1/organization"
_KINDS = {
    "projects": ("organization.project", "proj"),
    "users": ("organization.user", "user"),
    "invites": ("organization.invite", "invite"),
    "admin_api_keys": ("organization.admin_api_key", "key"),
    "api_keys": ("organization.project.api_key", "key"),
    "service_accounts": ("organization.project.service_account", "svc"),
    "content": ("organization.project.content", "req"),
    "policies": ("organization.policy", "pol"),
    "limits": ("organization.limit", "lim"),
    "roles": ("organization.role", "role"),
    "signing_keys": ("organization.signing_key", "kid"),
}
_SECRET = "hx-proj-secret"


class Refusal(Exception):
    """Another answer than yes."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "t", "param": param, "code": "c"}}


class Administration:
    """What is administered; `seen` are the requests, `refuse` is raised instead of an answer.

    `always` is answered to everything, where it is set.
    """

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.seen: list[tuple[str, str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.refuse: Refusal | None = None
        self.always: Any = None
        self.made = 0
        self.organization: dict[str, Any] = {
            "object": "organization",
            "id": "org_1",
            "name": "Default",
            "created_at": NOW,
            "tier": "tin",
            "weight": 1.0,
            "service_class": "standard",
            "tier_limits": [
                {"name": "spend_per_day", "per": ["organization"], "amount": 2.5, "hard": False,
                 "model": None},
            ],
        }  # fmt: skip

    def answer(
        self, method: str, target: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        """`(status, body, headers)`."""
        url = urlsplit(target)
        self.seen.append((method, url.path, body))
        self.headers.append(headers)
        try:
            if self.refuse is not None:
                raise self.refuse
            if self.always is not None:
                return 200, self.always, {}
            if not url.path.startswith(_ROOT):
                return 200, self._open(url.path, body), {}
            if headers.get("authorization") != f"Bearer {ADMIN_KEY}":
                raise Refusal(401, "This API key is not valid.")
            parts = [unquote(part) for part in url.path.removeprefix(_ROOT).split("/")[1:]]
            answer = self._answer(method, parts, body, parse_qs(url.query))
            return 200, answer, {}
        except Refusal as refusal:
            return refusal.status, refusal.body, {"Retry-After": "1"}

    def add(self, where: str, **fields: Any) -> dict[str, Any]:
        """An object in a list."""
        kind, prefix = _KINDS[where.rsplit("/", 1)[-1]]
        self.made += 1
        one = {"object": kind, "id": f"{prefix}_{self.made}", "created_at": NOW, **fields}
        self.lists.setdefault(where, []).append(one)
        return one

    def _open(self, path: str, body: Any) -> Any:
        if path == "/.well-known/jwks.json":
            return {"keys": [{"kid": "k1", "kty": "RSA"}]}
        if path == "/v1/auth/revoke":
            return {}
        if path == "/v1/auth/accept":
            return {"object": "organization.user", "id": "user_1", "email": "a@b.example"}
        granted = {"access_token": "ey.a.b", "token_type": "Bearer", "expires_in": 900}
        more = {} if body["grant_type"] == "client_credentials" else {"refresh_token": "hx-rt-1"}
        return {**granted, "scope": body.get("scope", "model:invoke"), **more}

    def _answer(self, method: str, parts: list[str], body: Any, query: dict[str, Any]) -> Any:
        if not parts:
            self.organization |= body or {}
            return self.organization
        if parts == ["policies", "explain"]:
            return {"allowed": False, "because": ["pol_1"], "errors": []}
        if parts[-1] in _KINDS and len(parts) % 2:
            where = "/".join(parts)
            if method == "DELETE":
                return {"object": "x.deleted", "id": parts[1], "deleted": True}
            return self._page(where, query) if method == "GET" else self._create(where, body)
        if parts == ["signing_keys", "rotate"]:
            return self.add("signing_keys")
        *collection, one_id = parts if len(parts) % 2 == 0 else parts[:-1]
        if parts[-1] == "rotate":
            old = self._find("/".join(collection), one_id)
            return self.add("/".join(collection), name=old["name"], value=_SECRET)
        one = self._find("/".join(collection), one_id)
        if parts[-1] in ("archive", "revoke"):
            one["archived_at" if parts[-1] == "archive" else "revoked_at"] = NOW
        elif method == "DELETE":
            return {"object": one["object"] + ".deleted", "id": one["id"], "deleted": True}
        elif method == "POST":
            one |= body
        return one

    def _create(self, where: str, body: Any) -> Any:
        kind = where.rsplit("/", 1)[-1]
        given = {**body}
        if where.endswith("/users") and "user_id" in given:
            given["id"] = given.pop("user_id")
        given.pop("password", None)
        one = self.add(where, **given)
        if kind in ("api_keys", "admin_api_keys"):
            one["redacted_value"] = "hx-proj-sec...cret"
            return {**one, "value": _SECRET}
        if kind == "invites":
            return {**one, "value": "hx-inv-secret"}
        if kind == "service_accounts":
            return {**one, "api_key": {"id": "key_1", "name": "first", "value": _SECRET}}
        return one

    def _page(self, where: str, query: dict[str, Any]) -> Any:
        filters = {name: query[name][0] for name in ("entity", "entity_id") if name in query}
        held = [one for one in self.lists.get(where, []) if filters.items() <= one.items()]
        if "after" in query:
            ids = [one["id"] for one in held]
            held = held[ids.index(query["after"][0]) + 1 :]
        data = held[: int(query.get("limit", ["100"])[0])]
        ids = [one["id"] for one in data] or [None]
        ends = {"first_id": ids[0], "last_id": ids[-1]}
        return {"object": "list", "data": data, **ends, "has_more": len(held) > len(data)}

    def _find(self, where: str, one_id: str) -> dict[str, Any]:
        for one in self.lists.get(where, []):
            if one["id"] == one_id:
                return one
        raise Refusal(404, f"There is no such {where.rsplit('/', 1)[-1]}.")


class AdminGateway(Handler):
    """Serves an `Administration`."""

    platform: Any  # the Administration

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, body, more = self.platform.answer(self.command, self.path, self.body(), headers)
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(data)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (as http.server calls them)
