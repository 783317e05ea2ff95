"""The models of a platform and their states."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from helixflow.cli.gateway_api import GatewayApi


def list_models(api: GatewayApi) -> list[dict[str, Any]]:
    """What `/v1/models` lists, each with `state` and `detail` from `/readyz`."""
    readiness = api.readiness()
    states = {} if readiness is None else {model.name: model for model in readiness.models}
    listed = []
    for model in api.models():
        known = states.get(str(model["id"]))
        state = {} if known is None else {"state": known.state, "detail": known.detail}
        listed.append({**model, **state})
    return listed


def show_models(listed: list[dict[str, Any]], console: Console) -> None:
    """Print them as a table."""
    table = Table("model", "owner", "state", "detail")
    for model in listed:
        row = ("id", "owned_by", "state", "detail")
        table.add_row(*(str(model.get(name, "")) for name in row))
    console.print(table)
