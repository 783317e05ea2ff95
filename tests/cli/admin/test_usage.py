"""`helixflow usage` against the real routes, desk and store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from helixflow.cli.admin.usage import _begin, _dollars
from helixflow.cli.failure import CommandFailed
from helixflow.cli.main import app
from helixflow.inference.facts import Admitted
from helixflow.testing.clock import ManualClock
from helixflow.testing.events import PRICE, SomeRequest
from helixflow.testing.http import serving
from helixflow.testing.platform import Platform
from tests.cli.fake_admin import Administration

from .conftest import Run

DAY_S = 86_400


class Typing:
    """A platform with a little usage, and a way to type commands at it."""

    def __init__(self, port: int, key: str) -> None:
        self._more = ["--base-url", f"http://127.0.0.1:{port}"]
        self._environ = {"HELIXFLOW_ADMIN_KEY": key}

    async def typed(self, *words: str) -> Result:
        full = ["usage", *words, *self._more]
        return await asyncio.to_thread(CliRunner().invoke, app, full, env=self._environ)

    async def shown(self, *words: str) -> str:
        result = await self.typed(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def json(self, *words: str) -> Any:
        return json.loads(await self.shown(*words, "--json"))


@pytest.fixture
async def usage(tmp_path: Path) -> AsyncIterator[Typing]:
    clock = ManualClock(float(int(time.time())))
    async with Platform.open(tmp_path, clock=clock) as platform, serving(platform.app) as port:
        tenant = platform.prepared.admin_key
        assert tenant is not None
        caller = await platform.authenticator.authenticate(tenant.reveal())
        for days, model in ((0, "m"), (0, "n"), (40, "m")):
            who = Admitted(caller.organization, "proj_1", "key_1", model=model, price=PRICE)
            request = SomeRequest(clock.now() - days * DAY_S - 1, admitted=who)
            await platform.usage.write(request.id, 3, request.events)
        yield Typing(port, tenant.reveal())


async def test_usage_is_shown_as_tables_and_all_of_it(usage: Typing) -> None:
    shown = await usage.shown("--group-by", "model", "-g", "project")
    lines = [line.split()[2:] for line in shown.splitlines() if "proj_1" in line]
    assert lines == [["m", "proj_1", "1", "10", "4", "20"], ["n", "proj_1", "1", "10", "4", "20"]]
    assert "in all: requests 2, input tokens 20, of them cached 8, output tokens 40" in shown
    assert "nothing was used" in await usage.shown("--model", "o")
    assert "requests 1," in await usage.shown("--model", "n", "--width", "1h", "--since", "1h")
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 10 * DAY_S))
    assert "requests 1," in await usage.shown("--since", "60d", "--until", until)
    shown = await usage.shown("--costs", "-g", "line", "--since", "1d")
    assert "m, output_tokens" in shown
    assert "in all: 0.000013 USD" in shown
    shown = await usage.shown("--requests", "--model", "n")
    (line,) = [line for line in shown.splitlines() if "req_" in line]
    assert line.split()[3:] == ["proj_1", "key_1", "n", "ok", "10", "20", "0.000007", "2.00"]


async def test_programs_get_all_pages_as_one_and_csv(usage: Typing) -> None:
    page = await usage.json("--since", "60d")
    used = [result for bucket in page["data"] for result in bucket["results"]]
    assert sum(one["num_model_requests"] for one in used) == 3
    assert len(page["data"]) in (61, 62)
    assert (page["has_more"], page["next_page"]) == (False, None)
    for what, found in (((), 2), (("--costs",), 2), (("--requests",), 3)):
        shown = await usage.shown(*what, "--csv", "--project", "proj_1", "--since", "60d")
        rows = list(csv.DictReader(io.StringIO(shown)))
        assert len(rows) == found
        assert {"project_id", "user_id", "api_key_id"} <= set(rows[0])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--costs", "--requests"), "either"),
        (("--costs", "-g", "model"), "line"),
        (("-g", "line"), "--costs"),
        (("--since", "never"), "since when"),
        (("--since", "soon"), "2027"),
    ],
)
def test_what_makes_no_sense_is_said(run: Run, words: tuple[str, ...], complaint: str) -> None:
    result = run("usage", *words)
    assert result.exit_code == 1
    assert complaint in result.stderr


def test_an_answer_that_does_not_end_is_cut_and_that_is_said(
    run: Run, administration: Administration
) -> None:
    endless = {"object": "page", "data": [], "has_more": True, "next_page": "page_1"}
    administration.always = endless
    result = run("usage", "--json")
    assert json.loads(result.stdout)["has_more"]
    assert "there is more" in result.stderr
    assert len(administration.seen) == 100


def test_a_beginning_is_some_time_ago_or_a_date() -> None:
    assert _begin("1h", 10_000.0) == 6400.0
    assert _begin("9d", 10.0) == 0.0
    assert _begin("2027-01-15", 0.0) == 1_799_971_200.0
    with pytest.raises(CommandFailed):
        _begin("5 o'clock", 0.0)


def test_small_amounts_are_not_rounded_to_nothing() -> None:
    assert [_dollars(amount) for amount in (0.0, 0.0000066, 0.5, 1.0, 12.345)] == [
        "0.00",
        "0.000007",
        "0.500000",
        "1.00",
        "12.35",
    ]
