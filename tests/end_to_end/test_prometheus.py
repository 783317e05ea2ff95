"""A real Prometheus scrapes the real stack as configs/prometheus says, and answers the dashboards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml

from helixflow.testing.prometheus import PrometheusServer, find_programs
from tests.configs.queries import PROMETHEUS, ROOT, rules, targets

from .conftest import MODEL, Stack, read_env

pytestmark = pytest.mark.stack

ARRIVES_S = 60.0
# Grafana's variables, as Grafana would put them in; the window suits a scrape every second.
VARIABLES = {"$__rate_interval": "1m", "$model": ".*"}
# What a stack that has answered a few requests certainly has to show.
MAIN = {
    "platform": {
        "Scraped", "Requests", "Errors", "Completion tokens per second", "First token, p95",
        "Running", "Waiting", "Requests by how they ended", "Duration of answered requests",
        "Time to the first token", "Stages of a request, p95", "Processes that report",
        "Look-ups of credentials", "Events", "Oldest event in a journal",
        "Events that wait for a sink", "From an event to its sink, p95",
        "HTTP requests at the socket", "HTTP requests at the socket: duration, p95",
        "HTTP requests under way", "Disk of the fullest home folder",
    },
    "models": {
        "Requests", "Requests that were not answered", "Tokens per second",
        "Time to the first token", "Between tokens", "Duration of answered requests",
        "Wait for a slot, p95", "Running", "Waiting", "KV cache of the fullest replica",
        "Replicas that can be asked",
    },
    "tenants": {
        "Prompt tokens in 24 h", "Completion tokens in 24 h", "Tokens per second, by model",
        "Waiting, by class of service", "Wait for a slot by class of service, p95",
    },
    "security": {
        "Credentials refused", "Look-ups of credentials", "Events that wait for the audit log",
        "Audit log: from an event to its record", "Since the last seal of the audit log",
        "Age of the key that signs access tokens",
    },
    "reliability": {
        "Availability budget left (30 days)", "Availability (30 days)",
        "Availability budget: burn rate", "Latency budget left (30 days)",
        "First tokens within 2.5 s (30 days)", "Latency budget: burn rate", "Refusals",
        "Processes that report", "Replicas that can be asked", "Disk of the fullest home folder",
    },
}  # fmt: skip


def configured(stack: Stack, folder: Path) -> Path:
    """configs/prometheus/prometheus.yml with this stack's addresses, and in a hurry."""
    ports = stack.record["ports"]
    (folder / "key").write_text(read_env(stack.home)["HELIXFLOW_ADMIN_KEY"])
    for job, port in (("ray", ports["metrics_export"]), ("haproxy", ports["haproxy_metrics"])):
        (folder / f"{job}.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
    text = (PROMETHEUS / "prometheus.yml").read_text()
    config = yaml.safe_load(text.replace("/etc/prometheus/helixflow/", f"{folder}/"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [f"{PROMETHEUS}/rules/*.yml"]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{stack.port}"]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def prometheus(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    program = find_programs(ROOT / ".helixflow" / "prometheus")["prometheus"]
    config = configured(stack, tmp_path_factory.mktemp("prometheus"))
    with PrometheusServer(program, config) as server:
        yield server


def talk(stack: Stack, client: openai.OpenAI) -> None:
    """A streamed answer, an unknown key, and a model that does not run."""
    messages: Any = [{"role": "user", "content": "Say hello."}]
    chunks = client.chat.completions.create(
        model=MODEL, messages=messages, max_tokens=8, stream=True
    )
    assert list(chunks)
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model="broken", messages=messages)
    with stack.client() as stranger, pytest.raises(openai.AuthenticationError):
        stranger.with_options(api_key="not a key").chat.completions.create(
            model=MODEL, messages=messages
        )


def ask(server: PrometheusServer, query: str) -> list[dict[str, Any]]:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return server.query(query)


def silent(server: PrometheusServer) -> set[tuple[str, str]]:
    """The main panels that have nothing to draw."""
    drawn = {(board, panel) for board, panel, query, _ in targets() if ask(server, query)}
    return {(board, panel) for board, panels in MAIN.items() for panel in panels} - drawn


def test_all_three_pages_are_scraped_and_every_panel_has_an_answer(
    stack: Stack, client: openai.OpenAI, prometheus: PrometheusServer
) -> None:
    deadline = time.monotonic() + ARRIVES_S
    while True:
        talk(stack, client)
        missing = silent(prometheus)  # raises where Prometheus cannot answer a query
        if not missing and not any(prometheus.targets().values()):
            break
        assert time.monotonic() < deadline, (missing, prometheus.targets())
    assert set(prometheus.targets()) == {"helixflow", "ray", "haproxy"}
    for rule in rules():
        prometheus.query(rule["expr"])
    assert prometheus.query('{__name__=~"ray_serve_.+", job="ray"}')
    assert prometheus.query('{__name__=~"haproxy_.+", job="haproxy"}')
