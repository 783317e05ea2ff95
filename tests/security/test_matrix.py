"""Every route of the real app, asked by everybody: what happens is what the tables say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fastapi.routing import APIRoute

from helixflow.gateway.http.permissions import OPEN_ROUTES, OWN_ROUTES, ROUTE_PERMISSIONS
from helixflow.testing.http import HttpAnswer
from helixflow.testing.platform import Platform, Tenant

from .callers import Caller, admitted, shut_out
from .rows import ROWS, Row, objects

_ID = re.compile(r"\{(\w+)(?::path)?\}")
MISSING = "nothing_has_this_id"


def routes(platform: Platform) -> Iterator[tuple[str, str]]:
    """`(method, path)` of everything that the app answers."""
    for route in platform.routes:
        assert isinstance(route, APIRoute), route
        for method in sorted(route.methods - {"HEAD"}):
            yield method, route.path


def plain(path: str) -> str:
    """A path without the converters of its parameters."""
    return _ID.sub(r"{\1}", path)


def filled(path: str, ids: Mapping[str, str]) -> str:
    return _ID.sub(lambda found: ids[found[1]], path)


def names(path: str) -> list[str]:
    return _ID.findall(path)


def closed(platform: Platform) -> list[tuple[str, str, Row, str]]:
    """`(method, path, row, permission)` of every route that is not open; empty for one's own."""
    return [
        (method, path, ROWS[method, plain(path)], ROUTE_PERMISSIONS.get((method, path), ""))
        for method, path in routes(platform)
        if path not in OPEN_ROUTES
    ]


def may(caller: Caller, permission: str) -> bool:
    return not permission or permission in caller.permissions


def placed(path: str, row: Row, ids: Mapping[str, str]) -> dict[str, str]:
    """What a path's parameters are for a tenant's objects."""
    return {name: ids[row.ids.get(name, name)] for name in names(path)}


async def sent(
    platform: Platform,
    caller: Caller,
    method: str,
    path: str,
    row: Row,
    ids: Mapping[str, str],
    place: Mapping[str, str] | None = None,
) -> HttpAnswer:
    """The answer to a row's good request; `place` puts other ids into its path."""
    body, form = row.body(ids) if row.body else None, row.form(ids) if row.form else None
    target = filled(path, {**placed(path, row, ids), **(place or {})})
    return await platform.ask(method, target + row.query, caller.credential, body, form=form)


def looks(answer: HttpAnswer) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that a caller sees of an answer but the request's own id."""
    headers = sorted(header for header in answer.headers if header[0] != "x-request-id")
    return answer.status, headers, answer.body


def test_every_route_has_a_row_and_every_row_a_route(platform: Platform) -> None:
    assert {(method, plain(path)) for method, path in routes(platform)} == set(ROWS)


def test_every_route_is_open_or_declares_a_permission(platform: Platform) -> None:
    for method, path in routes(platform):
        tables = (method, path) in ROUTE_PERMISSIONS, (method, path) in OWN_ROUTES
        assert sum((path in OPEN_ROUTES, *tables)) == 1, path


async def test_open_routes_let_everybody_in(platform: Platform, tenant: Tenant) -> None:
    ids = await objects(platform, tenant)
    everybody = await shut_out(platform, tenant) + await admitted(platform, tenant)
    for method, path in routes(platform):
        if path in OPEN_ROUTES:
            row = ROWS[method, plain(path)]
            for caller in everybody:
                answer = await sent(platform, caller, method, path, row, ids)
                assert answer.status == row.status, (caller.kind, method, path, answer.body)


async def test_who_is_not_known_is_let_in_nowhere_and_changes_nothing(
    platform: Platform, tenant: Tenant
) -> None:
    ids = await objects(platform, tenant)
    strangers = await shut_out(platform, tenant)
    before, wrong = await platform.revision(), []
    for method, path, row, _ in closed(platform):
        for caller in strangers:
            answer = await sent(platform, caller, method, path, row, ids)
            if (answer.status, answer.code) != (401, caller.refused):
                wrong.append((caller.kind, method, path, answer.status, answer.body))
    assert wrong == []
    assert await platform.revision() == before


async def test_who_lacks_the_permission_is_refused_and_changes_nothing(
    platform: Platform, tenant: Tenant
) -> None:
    ids = await objects(platform, tenant)
    callers = await admitted(platform, tenant)
    before, wrong = await platform.revision(), []
    for method, path, row, permission in closed(platform):
        for caller in callers:
            if not may(caller, permission):
                answer = await sent(platform, caller, method, path, row, ids)
                if (answer.status, answer.code) != (403, "permission_denied"):
                    wrong.append((caller.kind, method, path, answer.status, answer.body))
    assert wrong == []
    assert await platform.revision() == before


async def test_who_has_the_permission_gets_what_is_asked_for(
    platform: Platform, tenant: Tenant
) -> None:
    callers, wrong = await admitted(platform, tenant), []
    kept = await objects(platform, tenant)
    for method, path, row, permission in closed(platform):
        for caller in callers:
            if may(caller, permission):
                ids = await objects(platform, tenant) if row.uses_up else kept
                answer = await sent(platform, caller, method, path, row, ids)
                if answer.status != (403 if row.platform else row.status):
                    wrong.append((caller.kind, method, path, answer.status, answer.body))
    assert wrong == []


async def test_what_is_another_tenant_s_looks_as_if_it_were_not_there(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    """Whether every id of a path is another's or its last one alone; and nothing is changed."""
    own, theirs = await objects(platform, tenant), await objects(platform, other)
    callers = await admitted(platform, tenant)
    before, wrong = await platform.revision(), []
    for method, path, row, permission in closed(platform):
        tenants = [name for name in names(path) if name not in row.shared]
        if row.everybodys or not tenants:
            continue
        foreign, missing = placed(path, row, theirs), dict.fromkeys(tenants, MISSING)
        for first in {0, len(tenants) - 1}:
            for caller in callers:
                if not may(caller, permission):
                    continue
                seen = []
                for ids in (foreign, missing):
                    place = {name: ids[name] for name in tenants[first:]}
                    answer = await sent(platform, caller, method, path, row, own, place)
                    seen.append(looks(answer))
                if seen[0] != seen[1] or seen[0][0] != 404:
                    wrong.append((caller.kind, method, path, *seen))
    assert wrong == []
    assert await platform.revision() == before


async def test_lists_show_nothing_of_another_tenant(
    platform: Platform, tenant: Tenant, other: Tenant
) -> None:
    theirs = await objects(platform, other)
    shared = ("asset", "kid", "model", "rate_limit_id")
    secret = [value for name, value in theirs.items() if name not in shared]
    secret += [other.organization, other.project, other.account, *other.people.values()]
    own = await objects(platform, tenant)
    for method, path, row, permission in closed(platform):
        for caller in await admitted(platform, tenant):
            if method == "GET" and may(caller, permission):
                answer = await sent(platform, caller, method, path, row, own)
                assert not [one for one in secret if one.encode() in answer.body], path


async def test_a_method_that_a_route_does_not_have_tells_strangers_nothing(
    platform: Platform,
) -> None:
    """The same refusal for a route that is, one that is not, and a method that is not."""
    looked = set()
    for path in ("/v1/models", "/v1/nothing", "/v1/organization/projects/x", "/v1/auth/nothing"):
        for method in ("PUT", "PATCH", "DELETE", "TRACE"):
            status, headers, body = looks(await platform.ask(method, path, None))
            looked.add((status, tuple(headers), body))
    assert len(looked) == 1
    assert looked.pop()[0] == 401
