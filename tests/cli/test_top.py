"""`helixflow top`: what two pages of metrics say, how it looks, and the command itself."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from helixflow.cli.admin.api import AdminApi
from helixflow.cli.main import app
from helixflow.cli.pace import Latency, pace
from helixflow.cli.scraper import PlatformAway, Scraper
from helixflow.cli.tenant_use import TenantMeter, TenantUse, tenants
from helixflow.cli.top import Look, Watcher
from helixflow.cli.top_tables import dollars, duration, rate, render
from helixflow.inference.facts import Admitted
from helixflow.signals import Labels, Metric
from helixflow.telemetry.deltas import Deltas
from helixflow.telemetry.scrape import Scrape
from helixflow.testing.clock import ManualClock
from helixflow.testing.events import PRICE, SomeRequest
from helixflow.testing.http import serving
from helixflow.testing.platform import Platform

from .fake_platform import Handler, start, url

REQUESTS, TOKENS = Metric.REQUESTS, Metric.TOKENS


def counts(model: str, ok: float, refused: float, tokens: float) -> dict[str, dict[Labels, float]]:
    """A page's counters, of one model in two regions."""
    return {
        REQUESTS: {
            (("model", model), ("outcome", "ok"), ("region", "eu")): ok,
            (("model", model), ("outcome", "queue_full"), ("region", "us")): refused,
        },
        TOKENS: {
            (("kind", "prompt"), ("model", model), ("region", "eu")): tokens,
            (("kind", "completion"), ("model", model), ("region", "eu")): tokens * 2,
        },
        Metric.REFUSALS: {(("reason", "queue_full"),): refused},
    }


def some_look(**more: Any) -> Look:
    seen = pace(Scrape(0, {}), Scrape(2, counts("m", 8, 2, 100)))
    given: dict[str, Any] = {"away": "", "tenants": (), "usage_trouble": "", "pace": seen, **more}
    return Look(0.0, "http://h", **given)


def drawn(look: Look) -> str:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(render(look))
    return captured.get()


def test_rates_are_what_came_in_per_second() -> None:
    seen = pace(Scrape(10, counts("m", 100, 5, 50)), Scrape(14, counts("m", 108, 7, 90)))
    (model,) = seen.models
    assert (seen.seconds, model.requests_per_s) == (4, 2.5)
    assert (model.prompt_tokens_per_s, model.completion_tokens_per_s) == (10, 20)
    assert model.refusals_per_s == seen.refusals_per_s == {"queue_full": 0.5}
    assert (model.requests, model.tokens) == (115, 270)
    assert model.end_to_end == model.first_token == Latency()


def test_in_no_time_nothing_happens() -> None:
    seen = pace(Scrape(10, {}), Scrape(10, counts("m", 8, 1, 1)))
    assert seen.platform.requests_per_s == 0


def test_latencies_are_of_answers_that_ended_well() -> None:
    def whole(outcome: str, count: float) -> dict[Labels, float]:
        labels = (("model", "m"), ("outcome", outcome))
        return {(("le", le), *labels): count for le in ("1", "+Inf")}

    page = {f"{Metric.REQUEST_SECONDS}_bucket": {**whole("ok", 4), **whole("canceled", 9)}}
    found = pace(Scrape(0, {}), Scrape(1, {**counts("m", 4, 0, 0), **page})).models[0].end_to_end
    assert found.p50 == 0.5


def test_a_look_is_drawn() -> None:
    used = tuple(TenantUse(f"proj_{n}", "Lab", 1, 2, 3, 4, 0.5) for n in range(25))
    text = drawn(some_look(tenants=used))
    for part in ("up", "m", "5.0", "50.0", "100.0", "refused: queue_full 1.0/s", "Lab proj_0"):
        assert part in text
    assert "and 5 more" in text
    away = drawn(some_look(pace=None, away="the door is shut", usage_trouble="no"))
    assert "the door is shut; trying again" in away
    assert "usage is not known: no" in away
    assert "measuring" in drawn(some_look(pace=None))
    assert "no refusals" in drawn(some_look(pace=pace(Scrape(0, {}), Scrape(1, {}))))


def test_numbers_say_what_matters() -> None:
    assert [rate(n) for n in (0, 0.05, 2.5, 12_345)] == ["0", "0.050", "2.5", "12,345"]
    times = [duration(s) for s in (None, 0.0042, 0.42, 4.2, 42)]
    assert times == ["-", "4.2 ms", "420 ms", "4.20 s", "42 s"]
    assert [dollars(n) for n in (0, 0.0000066, 1234.5)] == ["0.00", "0.000007", "1,234.50"]


def test_minutes_are_added_up_by_project() -> None:
    def bucket(end: int, project: str, requests: int) -> dict[str, Any]:
        used = {"project_id": project, "num_model_requests": requests}
        return {"end_time": end, "results": [{**used, "input_tokens": 1, "output_tokens": 2}]}

    costs = [{"results": [{"project_id": "c", "amount": {"value": 1.5}}]}]
    used = [bucket(1000, "a", 1), bucket(3600, "a", 2), bucket(900, "b", 9)]
    assert tenants(used, costs, 3650.0) == [
        TenantUse("a", "", 2, 3, 3, 6),
        TenantUse("b", "", 0, 0, 9, 3),
        TenantUse("c", cost_today_usd=1.5),
    ]


class Typing:
    """A real platform, its metrics, and `top` typed at it."""

    def __init__(self, platform: Platform, port: int, key: str) -> None:
        self.platform, self.base_url, self._key = platform, f"http://127.0.0.1:{port}", key

    async def typed(self, *words: str, key: str = "") -> Result:
        full = ["top", *words, "--interval", "0.2", "--base-url", self.base_url]
        environ = {"HELIXFLOW_ADMIN_KEY": key or self._key}
        return await asyncio.to_thread(CliRunner().invoke, app, full, env=environ)


@pytest.fixture
async def typing(tmp_path: Path) -> AsyncIterator[Typing]:
    clock = ManualClock(float(int(time.time())))
    async with Platform.open(tmp_path, clock=clock) as platform, serving(platform.app) as port:
        key = platform.prepared.admin_key
        assert key is not None
        caller = await platform.authenticator.authenticate(key.reveal())
        who = Admitted(caller.organization, "proj_1", "key_1", model="m", price=PRICE)
        request = SomeRequest(clock.now() - 1, admitted=who)
        await platform.usage.write(request.id, 3, request.events)
        labels = (("model", "m"), ("outcome", "ok"), ("region", ""))
        platform.metrics.absorb("i", "ingress", Deltas(counters=((REQUESTS, labels, 3.0),)))
        yield Typing(platform, port, key.reveal())


async def test_one_interval_for_programs_and_for_people(typing: Typing) -> None:
    result = await typing.typed("--once", "--json")
    assert result.exit_code == 0, result.output
    seen = json.loads(result.stdout)
    assert [(one["model"], one["requests"]) for one in seen["models"]] == [("m", 3)]
    assert [(one["project"], one["tokens_1h"]) for one in seen["tenants"]] == [("proj_1", 30)]
    assert seen["tenants"][0]["cost_today_usd"] > 0
    assert seen["away"] is None
    shown = (await typing.typed("--once")).stdout
    assert "proj_1" in shown
    assert "no refusals" in shown


async def test_a_key_that_may_not_read_metrics_is_told_so(typing: Typing) -> None:
    tenant = await typing.platform.tenant("one")
    result = await typing.typed(key=tenant.project_key)
    assert result.exit_code == 1
    assert "metrics:read" in result.stderr
    result = await typing.typed(key="hx-adm-wrong")
    assert "does not take this key" in result.stderr


async def test_names_of_projects_are_shown(typing: Typing) -> None:
    key = typing.platform.prepared.admin_key
    assert key is not None
    api = AdminApi(typing.base_url, key.reveal())
    project = (await asyncio.to_thread(api.get, "/v1/organization/projects"))["data"][0]
    caller = await typing.platform.authenticator.authenticate(key.reveal())
    who = Admitted(caller.organization, project["id"], "key_1", model="m", price=PRICE)
    request = SomeRequest(typing.platform.clock.now() - 1, admitted=who)
    await typing.platform.usage.write(request.id, 6, request.events)
    found = await asyncio.to_thread(TenantMeter(api).read, typing.platform.clock.now())
    assert {one.project: one.name for one in found}[project["id"]] == project["name"]


class Pages(Handler):
    """Answers `/metrics` with what the test says, and usage with a refusal."""

    platform: Any

    def _serve(self) -> None:
        if self.path == "/metrics":
            self.answer(*self.platform)
        else:
            self.answer(403, {"error": {"message": "not for you"}})

    do_GET = _serve  # noqa: N815 (as http.server calls it)


@pytest.fixture
def told() -> list[Any]:
    return [200, b"# TYPE a counter\na_total 1.0\n"]


@pytest.fixture
def pages(told: list[Any]) -> Iterator[ThreadingHTTPServer]:
    server = start(Pages, told)  # type: ignore[arg-type]
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(pages: ThreadingHTTPServer, home: Path) -> Callable[..., Result]:
    environ = {"HELIXFLOW_ADMIN_KEY": "hx-adm"}
    more = ("--base-url", url(pages), "--home", str(home), "--interval", "0.2")
    return lambda *words: CliRunner().invoke(app, ["top", *words, *more], env=environ)


def test_a_platform_that_is_away_is_tried_again(
    pages: ThreadingHTTPServer, told: list[Any]
) -> None:
    address = url(pages)
    watcher = Watcher(address, Scraper(address, "k"), TenantMeter(AdminApi(address, "k")))
    assert watcher.look().pace is None
    told[:] = [503, {"error": {"message": "Telemetry is away."}}]
    away = watcher.look()
    assert "Telemetry is away." in away.away
    assert "not for you" in away.usage_trouble
    told[:] = [200, b"# TYPE a counter\na_total 2.0\n"]
    back = watcher.look()
    assert (back.away, back.pace is None) == ("", False)


def test_what_is_no_page_of_metrics_is_no_platform(
    pages: ThreadingHTTPServer, told: list[Any]
) -> None:
    told[:] = [200, b"<html>hello there, world"]
    with pytest.raises(PlatformAway, match="no page"):
        Scraper(url(pages), "k").scrape()
    with pytest.raises(PlatformAway, match="does not answer"):
        Scraper("http://127.0.0.1:9", "k").scrape()


def test_once_fails_where_there_is_nothing_to_see(
    run: Callable[..., Result], told: list[Any]
) -> None:
    told[:] = [503, b"busy", "text/plain"]
    result = run("--once")
    assert result.exit_code == 1
    assert "503" in result.stderr


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_it_goes_on_until_it_is_interrupted_and_ends_cleanly(
    run: Callable[..., Result], words: tuple[str, ...]
) -> None:
    interrupt = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    result = run(*words)
    interrupt.join()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    if words:
        looks = [json.loads(line) for line in lines]
        assert len(looks) >= 2
        assert looks[0]["seconds"] is None
        assert looks[1]["seconds"] > 0
    else:
        assert "measuring" in result.stdout


def test_without_a_key_it_says_where_one_comes_from(pages: ThreadingHTTPServer, home: Path) -> None:
    words = ["top", "--base-url", url(pages), "--home", str(home)]
    result = CliRunner().invoke(app, words, env={"HELIXFLOW_ADMIN_KEY": ""})
    assert result.exit_code == 1
    assert "no admin key" in result.stderr
