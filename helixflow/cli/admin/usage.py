"""`helixflow usage`: tokens, requests and costs, as a table, as JSON or as CSV.

Failure behavior: as for every administering command; an answer of more than a hundred pages is cut,
and that is said.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from helixflow.cli.admin.api import AdminApi, Body, path
from helixflow.cli.admin.key import duration_s, end_of
from helixflow.cli.admin.session import Session, administers
from helixflow.cli.admin.tables import Columns, moment, print_table, table
from helixflow.cli.command import complain, print_json
from helixflow.cli.failure import CommandFailed
from helixflow.gateway.http.usage_csv import (
    COST_COLUMNS,
    REQUEST_COLUMNS,
    USAGE_COLUMNS,
    as_csv,
)

_PAGES_MAX = 100
_MOST = {"1m": 1440, "1h": 168, "1d": 31}
_COST_DAYS = 180
_REQUESTS = 1000


class Width(StrEnum):
    """How long a line's time is."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"


class By(StrEnum):
    """What lines are told apart by."""

    BATCH = "batch"
    KEY = "key"
    LINE = "line"
    MODEL = "model"
    PROJECT = "project"
    REGION = "region"
    TIER = "tier"
    USER = "user"


_FIELDS = {
    By.BATCH: "batch",
    By.KEY: "api_key_id",
    By.LINE: "line_item",
    By.MODEL: "model",
    By.PROJECT: "project_id",
    By.REGION: "region",
    By.TIER: "service_tier",
    By.USER: "user_id",
}

Since = Annotated[
    str, typer.Option(help="From when on: 7d, 24h, 30m ago, or a date or a time (UTC).")
]
Until = Annotated[str | None, typer.Option(help="Up to when: a date or a time; by default now.")]
GroupBy = Annotated[
    list[By] | None, typer.Option("--group-by", "-g", help="Tell apart by this; repeat it.")
]
Projects = Annotated[list[str] | None, typer.Option("--project", "-p", help="Of this project.")]
Users = Annotated[list[str] | None, typer.Option("--user", help="Of this user.")]
Keys = Annotated[list[str] | None, typer.Option("--key", help="Of this key.")]
Models = Annotated[list[str] | None, typer.Option("--model", "-m", help="Of this model.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


@dataclass(frozen=True, slots=True)
class _Report:
    """What is asked of which route, and how its answer is shown."""

    where: str
    query: list[tuple[str, str]]
    csv: Sequence[str]
    columns: Columns
    totals: tuple[str, ...] = field(default=())


@administers
def usage(
    session: Session,
    since: Since = "7d",
    until: Until = None,
    width: Annotated[Width, typer.Option(help="The time of a line.")] = Width.DAY,
    group_by: GroupBy = None,
    project: Projects = None,
    user: Users = None,
    key: Keys = None,
    model: Models = None,
    costs: Annotated[bool, typer.Option("--costs", help="Money instead of tokens.")] = False,
    requests: Annotated[bool, typer.Option("--requests", help="Each request.")] = False,
    csv: Csv = False,
) -> None:
    """Show tokens and requests, costs, or single requests."""
    if costs and requests:
        raise CommandFailed("either --costs or --requests")
    now = time.time()
    query = [("start_time", str(int(_begin(since, now))))]
    end = None if until is None else end_of(until, now)
    if end is not None:
        query.append(("end_time", str(int(end))))
    for name, values in (
        ("project_ids", project), ("user_ids", user), ("api_key_ids", key), ("models", model),
    ):  # fmt: skip
        query += [(name, value) for value in values or ()]
    groups = group_by or []
    if requests:
        report = _requests(query)
    elif costs:
        report = _costs(query, groups)
    else:
        report = _usage(query, groups, width)
    body = _pages(session.api, report)
    if session.json:
        print_json(body)
    elif csv:
        sys.stdout.write(as_csv(body, report.csv).decode())
    else:
        _show(session, body, report)
    if body["has_more"]:
        complain("there is more; ask for less time, or filter")


def _usage(query: list[tuple[str, str]], groups: Sequence[By], width: Width) -> _Report:
    fields = _fields(groups, without=(By.LINE,), why="--group-by line belongs to --costs")
    columns: Columns = (
        ("time", lambda row: moment(row["start_time"])),
        *((name, name) for name in fields),
        ("requests", "num_model_requests"),
        ("input", "input_tokens"),
        ("cached", "input_cached_tokens"),
        ("output", "output_tokens"),
    )
    asked = [
        *query, ("bucket_width", width.value), ("limit", str(_MOST[width])),
        *(("group_by", name) for name in fields),
    ]  # fmt: skip
    totals = ("num_model_requests", "input_tokens", "input_cached_tokens", "output_tokens")
    return _Report(path("usage", "completions"), asked, USAGE_COLUMNS, columns, totals)


def _costs(query: list[tuple[str, str]], groups: Sequence[By]) -> _Report:
    fields = _fields(
        groups,
        without=(By.BATCH, By.MODEL, By.REGION, By.TIER),
        why="costs are grouped by key, line (a model's tokens), project or user",
    )
    columns: Columns = (
        ("day", lambda row: moment(row["start_time"]).split()[0]),
        *((name, name) for name in fields),
        ("usd", lambda row: _dollars(row["usd"])),
    )
    asked = [
        *query, ("limit", str(_COST_DAYS)), *(("group_by", name) for name in fields),
    ]  # fmt: skip
    return _Report(path("costs"), asked, COST_COLUMNS, columns, ("usd",))


def _requests(query: list[tuple[str, str]]) -> _Report:
    columns: Columns = (
        ("time", lambda row: moment(row["created_at"])),
        ("id", "id"),
        ("project", "project_id"),
        ("key", "api_key_id"),
        ("model", "model"),
        ("outcome", "outcome"),
        ("input", "input_tokens"),
        ("output", "output_tokens"),
        ("usd", lambda row: _dollars(row["usd"])),
        ("seconds", lambda row: row["duration_s"] and f"{row['duration_s']:.2f}"),
    )
    asked = [*query, ("limit", str(_REQUESTS))]
    return _Report(path("usage", "requests"), asked, REQUEST_COLUMNS, columns)


def _fields(groups: Sequence[By], without: Sequence[By], why: str) -> list[str]:
    if any(one in without for one in groups):
        raise CommandFailed(why)
    return [_FIELDS[one] for one in dict.fromkeys(groups)]


def _pages(api: AdminApi, report: _Report) -> Body:
    """All pages as one."""
    data: list[Body] = []
    page: str | None = None
    for _ in range(_PAGES_MAX):
        query = report.query if page is None else [*report.query, ("page", page)]
        body = api.get(f"{report.where}?{urlencode(query)}")
        data += body.get("data") or []
        page = body.get("next_page")
        if page is None:
            break
    return {"object": "page", "data": data, "has_more": page is not None, "next_page": page}


def _show(session: Session, body: Body, report: _Report) -> None:
    rows = [_flat(row) for row in _rows(body)]
    if not rows:
        session.say(body, "nothing was used in that time")
        return
    print_table(table(rows, report.columns), session.console)
    if report.totals:
        sums = {name: sum(row[name] for row in rows) for name in report.totals}
        words = ", ".join(
            f"{_dollars(number)} USD" if name == "usd" else f"{_TITLES[name]} {number:,}"
            for name, number in sums.items()
        )
        session.say(body, f"in all: {words}")


_TITLES = {
    "num_model_requests": "requests",
    "input_tokens": "input tokens",
    "input_cached_tokens": "of them cached",
    "output_tokens": "output tokens",
}


def _rows(body: Body) -> list[Body]:
    rows: list[Body] = []
    for each in body["data"]:
        if each["object"] == "bucket":
            rows += [{**result, "start_time": each["start_time"]} for result in each["results"]]
        else:
            rows.append(each)
    return rows


def _flat(row: Mapping[str, Any]) -> Body:
    amount = row.get("amount")
    return dict(row) if amount is None else {**row, "usd": amount["value"]}


def _dollars(amount: float) -> str:
    """Cents where they say enough, and as many places as it takes where they do not."""
    return f"{amount:.2f}" if amount == 0 or amount >= 1 else f"{amount:.6f}"


def _begin(text: str, now: float) -> float:
    """Epoch seconds of what a person calls a beginning."""
    if re.fullmatch(r"\d+[smhd]", text):
        return max(0.0, now - duration_s(text))
    at = end_of(text, now)
    if at is None:
        raise CommandFailed("say since when: 7d, or 2027-01-31")
    return at
