"""How `helixflow top` looks in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from helixflow.cli.pace import Latency, ModelPace, Pace
from helixflow.cli.tenant_use import TenantUse

_TENANTS_MAX = 20
_NO_MODEL = "(no such model)"


class Seen(Protocol):
    """What is drawn; see `top.Look`."""

    @property
    def at(self) -> float: ...
    @property
    def base_url(self) -> str: ...
    @property
    def pace(self) -> Pace | None: ...
    @property
    def away(self) -> str: ...
    @property
    def tenants(self) -> tuple[TenantUse, ...]: ...
    @property
    def usage_trouble(self) -> str: ...


def render(seen: Seen) -> RenderableType:
    """One screen: a line about the platform, its models, its refusals, its projects."""
    parts: list[RenderableType] = [_head(seen)]
    if seen.away:
        parts.append(Text(f"{seen.away}; trying again", style="red"))
    elif seen.pace is None:
        parts.append(Text("measuring ...", style="dim"))
    else:
        parts += [_models(seen.pace), _refusals(seen.pace)]
    if seen.tenants:
        parts.append(_tenants(seen.tenants))
    if seen.usage_trouble:
        parts.append(Text(f"usage is not known: {seen.usage_trouble}", style="yellow"))
    return Group(*parts)


def _head(seen: Seen) -> Text:
    moment = datetime.fromtimestamp(seen.at, UTC).strftime("%H:%M:%SZ")
    state, style = ("away", "bold red") if seen.away else ("up", "bold green")
    head = Text.assemble(("HelixFlow", "bold"), f" {seen.base_url} ", (state, style))
    head.append(f"  {moment}", style="dim")
    if seen.pace is not None:
        head.append(f"  over {seen.pace.seconds:.1f} s", style="dim")
    return head


def _models(pace: Pace) -> Table:
    laid = _table(
        "model", "req/s", "tok/s in", "tok/s out", "refused/s",
        "first token p50", "p95", "p99", "whole p50", "p95", "p99", "queued", "running",
    )  # fmt: skip
    for model in pace.models:
        laid.add_row(model.model or _NO_MODEL, *_cells(model))
    if not pace.models:
        laid.add_row("(nothing yet)")
    elif len(pace.models) > 1:
        laid.add_section()
        laid.add_row("all", *_cells(pace.platform), style="bold")
    return laid


def _cells(model: ModelPace) -> list[str | Text]:
    refused = sum(model.refusals_per_s.values())
    return [
        rate(model.requests_per_s),
        rate(model.prompt_tokens_per_s),
        rate(model.completion_tokens_per_s),
        Text(rate(refused), style="red" if refused else ""),
        *_latency(model.first_token),
        *_latency(model.end_to_end),
        Text(f"{model.queued:,}", style="yellow" if model.queued else ""),
        f"{model.running:,}",
    ]


def _latency(latency: Latency) -> list[str]:
    return [duration(value) for value in (latency.p50, latency.p95, latency.p99)]


def _refusals(pace: Pace) -> Text:
    if not pace.refusals_per_s:
        return Text("no refusals", style="dim")
    worst = sorted(pace.refusals_per_s.items(), key=lambda one: -one[1])
    words = ", ".join(f"{reason} {rate(per_s)}/s" for reason, per_s in worst)
    return Text(f"refused: {words}", style="red")


def _tenants(tenants: Sequence[TenantUse]) -> Table:
    laid = _table(
        "project", "requests 5 min", "tokens 5 min", "requests 1 h", "tokens 1 h", "USD today"
    )
    for one in tenants[:_TENANTS_MAX]:
        name = Text.assemble(one.name, " " if one.name else "", (one.project, "dim"))
        numbers = (one.requests_5m, one.tokens_5m, one.requests_1h, one.tokens_1h)
        laid.add_row(name, *(f"{number:,}" for number in numbers), dollars(one.cost_today_usd))
    if len(tenants) > _TENANTS_MAX:
        laid.add_row(Text(f"and {len(tenants) - _TENANTS_MAX} more", style="dim"))
    return laid


def _table(first: str, *others: str) -> Table:
    laid = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0),
        header_style="bold",
    )  # fmt: skip
    laid.add_column(first, overflow="fold", min_width=10)
    for title in others:
        laid.add_column(title, justify="right")
    return laid


def rate(per_s: float) -> str:
    """Three digits where they say something."""
    if per_s == 0:
        return "0"
    if per_s < 0.1:
        return f"{per_s:.3f}"
    return f"{per_s:.1f}" if per_s < 1000 else f"{per_s:,.0f}"


def duration(seconds: float | None) -> str:
    """Milliseconds below a second."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def dollars(amount: float) -> str:
    """Cents where they say enough, and as many places as it takes where they do not."""
    return f"{amount:,.2f}" if amount == 0 or amount >= 1 else f"{amount:.6f}"
