"""What each project used lately, from the usage API.

Failure behavior: the errors of `AdminApi`; names of projects that cannot be read are left out, and
a project is then shown by its id. At most `_PAGES_MAX` pages are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from helixflow.cli.admin.api import AdminApi, Body, path
from helixflow.cli.failure import CommandFailed

MINUTES_S = 300
HOUR_S = 3600
_PAGES_MAX = 10
_BUCKETS = 61
"""An hour in minutes, and the minute that has begun."""


@dataclass(frozen=True, slots=True)
class TenantUse:
    """One project's use.

    Attributes:
        project, name: its id and its name.
        requests_5m, tokens_5m: of the last five minutes (whole minutes, and the one that runs).
        requests_1h, tokens_1h: of the last hour; tokens in and out.
        cost_today_usd: since midnight, UTC.
    """

    project: str
    name: str = ""
    requests_5m: int = 0
    tokens_5m: int = 0
    requests_1h: int = 0
    tokens_1h: int = 0
    cost_today_usd: float = 0.0


class TenantMeter:
    """Asks the usage API; keeps the projects' names."""

    def __init__(self, api: AdminApi) -> None:
        self._api = api
        self._names: dict[str, str] = {}

    def read(self, now: float) -> tuple[TenantUse, ...]:
        """Every project that used something today or in the last hour, the busiest first."""
        group = ("group_by", "project_id")
        used = self._buckets(
            path("usage", "completions"),
            [("start_time", str(int(now) - HOUR_S)), ("bucket_width", "1m"), group],
            _BUCKETS,
        )
        costs = self._buckets(path("costs"), [("start_time", str(int(now))), group], 1)
        found = tenants(used, costs, now)
        if any(one.project not in self._names for one in found):
            self._learn_names()
        return tuple(replace(one, name=self._names.get(one.project, "")) for one in found)

    def _buckets(self, where: str, query: list[tuple[str, str]], limit: int) -> list[Body]:
        buckets: list[Body] = []
        page: str | None = None
        for _ in range(_PAGES_MAX):
            more = [] if page is None else [("page", page)]
            asked = urlencode([*query, ("limit", str(limit)), *more])
            body = self._api.get(f"{where}?{asked}")
            buckets += body.get("data") or []
            page = body.get("next_page")
            if page is None:
                break
        return buckets

    def _learn_names(self) -> None:
        try:
            projects = self._api.page(path("projects"), limit=1000)["data"]
        except CommandFailed:
            return  # who may read usage need not be one who may list projects
        self._names = {str(one["id"]): str(one.get("name") or "") for one in projects}


def tenants(
    used: Iterable[Mapping[str, Any]], costs: Iterable[Mapping[str, Any]], now: float
) -> list[TenantUse]:
    """Buckets of a minute and of a day, added up by project; the busiest first."""
    found: dict[str, TenantUse] = {}
    for bucket in used:
        late = bucket["end_time"] > now - MINUTES_S
        for result in bucket["results"]:
            project = str(result.get("project_id") or "")
            have = found.get(project) or TenantUse(project)
            requests = int(result["num_model_requests"])
            tokens = int(result["input_tokens"]) + int(result["output_tokens"])
            found[project] = replace(
                have,
                requests_5m=have.requests_5m + requests * late,
                tokens_5m=have.tokens_5m + tokens * late,
                requests_1h=have.requests_1h + requests,
                tokens_1h=have.tokens_1h + tokens,
            )
    for bucket in costs:
        for result in bucket["results"]:
            project = str(result.get("project_id") or "")
            have = found.get(project) or TenantUse(project)
            cost = have.cost_today_usd + float(result["amount"]["value"])
            found[project] = replace(have, cost_today_usd=cost)
    return sorted(found.values(), key=lambda one: (-one.tokens_5m, -one.tokens_1h, one.project))
