"""The administration's HTTP interface, as the command line uses it.

Failure behavior: `Unreachable` while nothing listens; any refusal becomes `CommandFailed` with the
message that the platform gave. Nothing is tried twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from helixflow.cli.failure import CommandFailed
from helixflow.cli.http import Answer, Client, chunks, require_ok

Body: TypeAlias = dict[str, Any]

_PAGE_MAX = 100
_ROOT = "/v1/organization"


def path(*parts: str) -> str:
    """A path below `/v1/organization`; what a person typed cannot lead out of it."""
    return "/".join((_ROOT, *(quote(part, safe="") for part in parts)))


class AdminApi:
    """The administration of the platform at a base URL (without `/v1`).

    Args:
        key: an admin key; empty where a request needs none.
    """

    def __init__(self, base_url: str, key: str = "", timeout_s: float = 15.0) -> None:
        self._client = Client(base_url, key, timeout_s)

    def get(self, where: str) -> Body:
        """One object, or a list that is short enough to come whole."""
        return self._ask("GET", where)

    def post(self, where: str, body: Body) -> Body:
        """Create, or change what `body` names."""
        return self._ask("POST", where, body)

    def delete(self, where: str) -> Body:
        """Remove, disable or revoke."""
        return self._ask("DELETE", where)

    def page(
        self,
        where: str,
        after: str | None = None,
        limit: int = _PAGE_MAX,
        filters: Mapping[str, str] | None = None,
    ) -> Body:
        """Up to `limit` objects of a list, oldest first, over as many pages as that takes."""
        data: list[Body] = []
        more = True
        while more and len(data) < limit:
            query = {**(filters or {}), "limit": str(min(_PAGE_MAX, limit - len(data)))}
            if after is not None:
                query["after"] = after
            body = self.get(f"{where}?{urlencode(query)}")
            data += body.get("data") or []
            after = body.get("last_id")
            more = bool(body.get("has_more")) and after is not None
        ids = [one.get("id") for one in data] or [None]
        ends = {"first_id": ids[0], "last_id": ids[-1], "has_more": more}
        return {"object": "list", "data": data, **ends}

    def stream(self, where: str) -> Iterator[bytes]:
        """The body of an answer as it comes. Raises `Unreachable` where it breaks off."""
        with self._client.open("GET", where) as response:
            if not 200 <= response.status < 300:
                told = {name.lower(): value for name, value in response.getheaders()}
                require_ok(Answer(response.status, b"".join(chunks(response)), told))
            yield from chunks(response)

    def _ask(self, method: str, where: str, body: Body | None = None) -> Body:
        answer = self._client.request(method, where, body)
        require_ok(answer)
        if not answer.body.strip():
            return {}
        told = answer.json()
        if not isinstance(told, dict):
            raise CommandFailed("the platform answered with something that is no JSON object")
        return told
