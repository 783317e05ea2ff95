"""Writes configs/dashboards/*.json, Grafana's dashboards, from what is said here.

    .venv/bin/python scripts/dashboards.py

A test fails where the files and this script differ, or where a query names a metric or a label
that the platform does not have (tests/configs/test_dashboards.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

FOLDER = Path(__file__).resolve().parents[1] / "configs" / "dashboards"

Queries: TypeAlias = tuple[tuple[str, str], ...]
"""PromQL and the legend of its series."""

_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_TENANTS = """\
Organizations, projects, users and keys are no labels: a time series per tenant would grow without
bound. **Exact tokens and costs per tenant** are in the usage records:

- `helixflow usage --group-by project` (or `user`, `key`, `model`)
- [`GET /v1/organization/usage/completions`](${helixflow_url}/docs) and
  [`GET /v1/organization/costs`](${helixflow_url}/docs), `group_by=project_id`, `format=csv` for a table
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `kind` is Grafana's type, `unit` Grafana's unit, `width` of 24 columns."""

    title: str
    unit: str
    queries: Queries
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    text: str = ""
    top: float | None = None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard: what it is called, its panels in reading order, whether one picks models."""

    name: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    models: bool = False
    address: bool = False


def rate(metric: str, *by: str, where: str = "") -> str:
    """Per second, added up over everything but `by`."""
    group = f" by ({', '.join(by)})" if by else ""
    return f"sum{group} (rate({metric}{{{where}}}[$__rate_interval]))".replace("{}", "")


def quantile(share: float, metric: str, *by: str, where: str = "") -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', *by, 'le', where=where)})"


def quantiles(metric: str, *by: str, where: str = "") -> Queries:
    """The median, the 95th and the 99th percentile."""
    named = "".join(f"{{{{{label}}}}} " for label in by)
    return tuple(
        (quantile(share, metric, *by, where=where), f"{named}p{share * 100:g}")
        for share in (0.5, 0.95, 0.99)
    )


def stat(title: str, unit: str, query: str, width: int = 4, top: float | None = None) -> Panel:
    """One number."""
    return Panel(title, unit, ((query, ""),), "stat", width, 4, top=top)


_PICKED = 'model=~"$model"'
_UNAUTHENTICATED = 'reason=~"expired_api_key|invalid_api_key|missing_api_key"'
_EVENTS_WAITING = Panel(
    "Events that wait for a sink", "short", (("helixflow_sink_queue_events", "{{sink}}"),)
)
_SINK_LAG = Panel("From an event to its sink, p95", "s", (
    (quantile(0.95, "helixflow_sink_lag_seconds", "sink"), "{{sink}}"),
))  # fmt: skip
_LIMITS = Panel("Requests that a limit refused", "reqps", (
    (rate("helixflow_limit_refusals_total", "limit"), "{{limit}}"),
))  # fmt: skip
_LOOKUPS = Panel("Look-ups of credentials", "ops", (
    (rate("helixflow_verdict_lookups_total", "outcome"), "{{outcome}}"),
))  # fmt: skip
_DISK = Panel("Disk of the fullest home folder", "percentunit", (
    ("helixflow_disk_usage_ratio", "in use"),
), top=1)  # fmt: skip
_READY = Panel("Replicas that can be asked", "short", (
    ("helixflow_model_ready_replicas", "{{model}}"),
))  # fmt: skip
_MISSING = Panel("Events dropped, lost, never taken", "short", (
    ("sum by (reason) (increase(helixflow_events_dropped_total[1h]))", "dropped: {{reason}}"),
    ("sum(increase(helixflow_events_lost_total[1h]))", "lost"),
    ("sum by (sink) (increase(helixflow_dead_letters_total[1h]))", "dead letters of {{sink}}"),
    ("sum by (sink) (increase(helixflow_sink_failures_total[1h]))", "failures of {{sink}}"),
    ("sum(increase(helixflow_series_dropped_total[1h]))", "counts dropped"),
))  # fmt: skip

PLATFORM = Dashboard("platform", "Platform", "Traffic, latency, processes, telemetry.", (
    stat("Scraped", "bool_yes_no", 'min(up{job="helixflow"})', 3),
    stat("Requests", "reqps", rate("helixflow_requests_total"), 3),
    stat("Errors", "percentunit", "helixflow:requests_bad:ratio5m", 3),
    stat("Completion tokens per second", "short",
         rate("helixflow_tokens_total", where='kind="completion"'), 4),
    stat("First token, p95", "s", quantile(0.95, "helixflow_time_to_first_token_seconds"), 4),
    stat("Running", "short", "sum(helixflow_running_sequences)", 3),
    stat("Waiting", "short", "sum(helixflow_queued_requests)", 4),
    Panel("Requests by how they ended", "reqps", (
        (rate("helixflow_requests_total", "outcome"), "{{outcome}}"),
    )),
    Panel("Requests by region", "reqps", ((rate("helixflow_requests_total", "region"), "{{region}}"),)),
    Panel("Duration of answered requests", "s",
          quantiles("helixflow_request_duration_seconds", where='outcome="ok"')),
    Panel("Time to the first token", "s", quantiles("helixflow_time_to_first_token_seconds")),
    Panel("Stages of a request, p95", "s", (
        (quantile(0.95, "helixflow_stage_duration_seconds", "stage"), "{{stage}}"),
    )),
    Panel("HTTP requests at the socket", "reqps", (
        (rate("helixflow_http_requests_total", "route", "status"), "{{route}} {{status}}"),
    )),
    Panel("HTTP requests at the socket: duration, p95", "s", (
        (quantile(0.95, "helixflow_http_request_duration_seconds", "route"), "{{route}}"),
    )),
    Panel("HTTP requests under way", "short", (("helixflow_ongoing_requests", "under way"),)),
    Panel("Processes that report", "short", (("helixflow_processes", "{{role}}"),)),
    _LOOKUPS,
    Panel("Exchanges with the store of limits", "ops", (
        (rate("helixflow_limit_exchanges_total", "outcome"), "{{outcome}}"),
    )),
    Panel("Requests that limits let through", "reqps", (
        (rate("helixflow_limit_reservations_total", "outcome"), "{{outcome}}"),
    )),
    Panel("Events", "ops", ((rate("helixflow_events_total", "kind"), "{{kind}}"),)),
    Panel("Oldest event in a journal", "s", (("helixflow_journal_lag_seconds", "age"),)),
    _EVENTS_WAITING,
    _SINK_LAG,
    _DISK,
    Panel("Spans of traces", "ops", ((rate("helixflow_spans_total", "outcome"), "{{outcome}}"),)),
))  # fmt: skip

MODELS = Dashboard("models", "Models", "What each model serves, and how full it is.", (
    Panel("Requests", "reqps", (
        (rate("helixflow_requests_total", "model", where=_PICKED), "{{model}}"),
    )),
    Panel("Requests that were not answered", "reqps", (
        (rate("helixflow_requests_total", "model", "outcome",
              where=f'{_PICKED}, outcome!="ok"'), "{{model}} {{outcome}}"),
    )),
    Panel("Tokens per second", "short", (
        (rate("helixflow_tokens_total", "model", "kind", where=_PICKED), "{{model}} {{kind}}"),
    )),
    Panel("Prompt tokens from the prefix cache", "percentunit", ((
        rate("helixflow_prefix_cache_hit_tokens_total", "model", where=_PICKED) + " / "
        + rate("helixflow_tokens_total", "model", where=f'{_PICKED}, kind="prompt"'), "{{model}}",
    ),), top=1),
    Panel("Time to the first token", "s",
          quantiles("helixflow_time_to_first_token_seconds", "model", where=_PICKED)),
    Panel("Between tokens", "s",
          quantiles("helixflow_inter_token_latency_seconds", "model", where=_PICKED)),
    Panel("Duration of answered requests", "s",
          quantiles("helixflow_request_duration_seconds", "model", where=f'{_PICKED}, outcome="ok"')),
    Panel("Wait for a slot, p95", "s", ((
        quantile(0.95, "helixflow_queue_wait_seconds", "model", "service_class", where=_PICKED),
        "{{model}} {{service_class}}",
    ),)),
    Panel("Running", "short", (
        (f"sum by (model) (helixflow_running_sequences{{{_PICKED}}})", "{{model}}"),
    )),
    Panel("Waiting", "short", ((
        f"sum by (model, service_class) (helixflow_queued_requests{{{_PICKED}}})",
        "{{model}} {{service_class}}",
    ),)),
    Panel("KV cache of the fullest replica", "percentunit", (
        (f"helixflow_kv_cache_usage_ratio{{{_PICKED}}}", "{{model}}"),
    ), top=1),
    Panel("Replicas that can be asked", "short", (
        (f"helixflow_model_ready_replicas{{{_PICKED}}}", "{{model}}"),
    )),
    Panel("Models that became something else", "short", (
        ("increase(helixflow_model_state_changes_total[10m])", "changes in ten minutes"),
    )),
), models=True)  # fmt: skip

TENANTS = Dashboard("tenants", "Tenants and cost", "What was used and what it cost, by model.", (
    Panel("Per tenant", "", (), "text", 24, 6, _TENANTS),
    stat("Cost in 24 h", "currencyUSD",
         f"sum(increase(helixflow_cost_usd_total{{{_PICKED}}}[24h]))", 6),
    stat("Prompt tokens in 24 h", "short",
         f'sum(increase(helixflow_tokens_total{{{_PICKED}, kind="prompt"}}[24h]))', 6),
    stat("Completion tokens in 24 h", "short",
         f'sum(increase(helixflow_tokens_total{{{_PICKED}, kind="completion"}}[24h]))', 6),
    stat("Cost of a million tokens", "currencyUSD",
         f"1e6 * {rate('helixflow_cost_usd_total', where=_PICKED)}"
         f" / {rate('helixflow_tokens_total', where=_PICKED)}", 6),
    Panel("Cost per hour, by model", "currencyUSD", (
        (f"3600 * {rate('helixflow_cost_usd_total', 'model', where=_PICKED)}", "{{model}}"),
    )),
    Panel("Cost per hour, by region", "currencyUSD", (
        (f"3600 * {rate('helixflow_cost_usd_total', 'region', where=_PICKED)}", "{{region}}"),
    )),
    Panel("Tokens per second, by model", "short", (
        (rate("helixflow_tokens_total", "model", "kind", where=_PICKED), "{{model}} {{kind}}"),
    )),
    _LIMITS,
    Panel("Waiting, by class of service", "short", ((
        f"sum by (service_class) (helixflow_queued_requests{{{_PICKED}}})", "{{service_class}}",
    ),)),
    Panel("Wait for a slot by class of service, p95", "s", ((
        quantile(0.95, "helixflow_queue_wait_seconds", "service_class", where=_PICKED),
        "{{service_class}}",
    ),)),
), models=True, address=True)  # fmt: skip

SECURITY = Dashboard("security", "Security", "Who is turned away, and whether the audit log keeps up.", (
    stat("Credentials refused", "reqps",
         rate("helixflow_refusals_total", where=_UNAUTHENTICATED), 6),
    stat("Permissions denied", "reqps",
         rate("helixflow_refusals_total", where='reason="permission_denied"'), 6),
    stat("Administrative changes in 24 h", "short",
         'sum(increase(helixflow_events_total{kind="administration"}[24h]))', 6),
    stat("Events that wait for the audit log", "short",
         'sum(helixflow_sink_queue_events{sink="audit"})', 6),
    stat("Since the last seal of the audit log", "s",
         "time() - helixflow_audit_sealed_timestamp_seconds", 12),
    stat("Age of the key that signs access tokens", "s",
         "time() - helixflow_signing_key_timestamp_seconds", 12),
    Panel("Credentials refused", "reqps", (
        (rate("helixflow_refusals_total", "reason", where=_UNAUTHENTICATED), "{{reason}}"),
    )),
    _LOOKUPS,
    Panel("Security events", "ops", ((
        rate("helixflow_events_total", "kind",
             where='kind=~"administration|authentication.failed|authorization.denied"'),
        "{{kind}}",
    ),)),
    Panel("Requests that no honest client sends", "reqps", ((
        rate("helixflow_refusals_total", "reason",
             where='reason=~"body_too_large|invalid_encoding|permission_denied|slow_reader"'),
        "{{reason}}",
    ),)),
    _LIMITS,
    Panel("Store of limits away", "s", (("helixflow_limit_store_away_seconds", "away"),)),
    Panel("Audit log: from an event to its record", "s",
          quantiles("helixflow_sink_lag_seconds", where='sink="audit"')),
    _MISSING,
))  # fmt: skip

RELIABILITY = Dashboard("reliability", "Reliability", "Objectives, their budgets, and what breaks.", (
    stat("Availability budget left (30 days)", "percentunit",
         "helixflow:availability_budget:left30d", 6, top=1),
    stat("Latency budget left (30 days)", "percentunit",
         "helixflow:latency_budget:left30d", 6, top=1),
    stat("Availability (30 days)", "percentunit", "1 - helixflow:requests_bad:ratio30d", 6, top=1),
    stat("First tokens within 2.5 s (30 days)", "percentunit",
         "1 - helixflow:first_tokens_bad:ratio30d", 6, top=1),
    Panel("Availability budget: burn rate", "short", tuple(
        (f"helixflow:requests_bad:ratio{window} / 0.001", window)
        for window in ("5m", "1h", "6h", "3d")
    )),
    Panel("Latency budget: burn rate", "short", tuple(
        (f"helixflow:first_tokens_bad:ratio{window} / 0.01", window)
        for window in ("5m", "1h", "6h", "3d")
    )),
    Panel("Alerts", "short", (
        ('sum by (alertname, severity) (ALERTS{alertname=~"HelixFlow.*", alertstate="firing"})',
         "{{alertname}} ({{severity}})"),
    )),
    Panel("Refusals", "reqps", ((rate("helixflow_refusals_total", "reason"), "{{reason}}"),)),
    Panel("HTTP requests that got an error or no answer", "reqps", ((
        rate("helixflow_http_requests_total", "route", "status", where='status=~"5..|none"'),
        "{{route}} {{status}}",
    ),)),
    Panel("Processes that report", "short", (("helixflow_processes", "{{role}}"),)),
    Panel("Models that became something else", "short", (
        ("increase(helixflow_model_state_changes_total[10m])", "changes in ten minutes"),
    )),
    _READY,
    Panel("Requests for models that do not run", "reqps", ((
        rate("helixflow_requests_total", "model", "outcome",
             where='outcome=~"engine_died|model_failed|model_loading"'), "{{model}} {{outcome}}",
    ),)),
    Panel("Store of limits away", "s", (("helixflow_limit_store_away_seconds", "away"),)),
    Panel("Oldest event in a journal", "s", (("helixflow_journal_lag_seconds", "age"),)),
    _EVENTS_WAITING,
    _SINK_LAG,
    _DISK,
    _MISSING,
))  # fmt: skip


def documents() -> dict[str, str]:
    """File names and what they hold."""
    every = (PLATFORM, MODELS, TENANTS, SECURITY, RELIABILITY)
    return {f"{one.name}.json": json.dumps(_document(one), indent=1) + "\n" for one in every}


def _document(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": f"helixflow-{dashboard.name}",
        "title": f"HelixFlow: {dashboard.title}",
        "description": dashboard.about,
        "tags": ["helixflow"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [{
            "type": "dashboards", "title": "HelixFlow", "tags": ["helixflow"], "asDropdown": True,
            "includeVars": True, "keepTime": True,
        }],
        "templating": {"list": _variables(dashboard)},
        "panels": _laid_out(dashboard.panels),
    }  # fmt: skip


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    ]
    if dashboard.models:
        query = "label_values(helixflow_requests_total, model)"
        found.append({
            "name": "model", "label": "Model", "type": "query", "datasource": _SOURCE,
            "query": query, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
            "allValue": ".*", "current": {"text": "All", "value": "$__all"},
        })  # fmt: skip
    if dashboard.address:
        address = "http://127.0.0.1:8000"
        found.append({
            "name": "helixflow_url", "label": "HelixFlow", "type": "textbox", "query": address,
            "current": {"text": address, "value": address},
        })  # fmt: skip
    return found


def _laid_out(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """From left to right; a panel that does not fit begins the next line."""
    drawn, x, y, line = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > _COLUMNS:
            x, y, line = 0, y + line, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        drawn.append({"id": number, "gridPos": place, **_drawn(panel)})
        x, line = x + panel.width, max(line, panel.height)
    return drawn


def _drawn(panel: Panel) -> dict[str, Any]:
    if panel.kind == "text":
        written = {"mode": "markdown", "content": panel.text}
        return {"title": panel.title, "type": panel.kind, "options": written}
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": {"fillOpacity": 8, "showPoints": "never"}}
    if panel.top is not None:
        defaults["max"] = panel.top
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}}
    if panel.kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "title": panel.title,
        "type": panel.kind,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
