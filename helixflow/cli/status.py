"""What a stack is doing: deployments, replicas, models, addresses, the health of each part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from helixflow.cli.gateway_api import Readiness
from helixflow.cli.health import Component, Health, ask, judge
from helixflow.cli.http import Unreachable
from helixflow.cli.processes import processes_of
from helixflow.cli.record import Stack
from helixflow.cli.serve_api import Application, ServeApi
from helixflow.cli.target import ADMIN_KEY_VARIABLE, env_file
from helixflow.cli.waiting import describe

_COLOURS = {
    Health.OK: "green",
    Health.DEGRADED: "yellow",
    Health.AWAY: "red",
    Health.UNKNOWN: "dim",
}


@dataclass(frozen=True, slots=True)
class Status:
    """A stack at one moment; `readiness` is None while the front does not answer."""

    stack: Stack
    applications: tuple[Application, ...]
    readiness: Readiness | None
    processes: int
    components: tuple[Component, ...]

    @property
    def healthy(self) -> bool:
        """Whether everything that was asked for answers."""
        return self.readiness is not None and self.readiness.ready

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "healthy": self.healthy,
            "base_url": self.stack.base_url,
            "dashboard_url": self.stack.dashboard_url,
            "home": self.stack.home,
            "config": self.stack.config,
            "processes": self.processes,
            "applications": [asdict(application) for application in self.applications],
            "readiness": None if self.readiness is None else asdict(self.readiness),
            "health": [component.as_json() for component in self.components],
        }


def look(stack: Stack) -> Status:
    """Ask the parts of a stack how they are; those that do not answer are left out."""
    token = stack.token_file.read_text(encoding="utf-8") if stack.token_file.exists() else ""
    try:
        applications = tuple(ServeApi(stack.dashboard_url, token).applications())
    except Unreachable:
        applications = ()
    key = env_file(Path(stack.home)).read().get(ADMIN_KEY_VARIABLE, "")
    found = ask(stack.base_url, key)
    processes = len(processes_of(stack.id))
    return Status(stack, applications, found.readiness, processes, judge(found))


def show(status: Status, console: Console) -> None:
    """Print it for a person."""
    stack = status.stack
    facts = Table.grid(padding=(0, 2))
    facts.add_row("health", "[green]ready[/]" if status.healthy else "[red]not ready[/]")
    facts.add_row("API", f"{stack.base_url}/v1")
    facts.add_row("docs", f"{stack.base_url}/docs")
    facts.add_row("Ray dashboard", f"{stack.dashboard_url} (token: {stack.token_file})")
    facts.add_row("home", stack.home)
    facts.add_row("configuration", stack.config)
    facts.add_row("processes", str(status.processes))
    console.print(facts)
    console.print(_health(status.components))
    console.print(_deployments(status.applications))
    if status.readiness is not None:
        console.print(_models(status.readiness))
        for part in status.readiness.waiting:
            console.print(f"waiting for {part}", markup=False)


def _health(components: tuple[Component, ...]) -> Table:
    table = Table("part", "health", "why", title="Health")
    for each in components:
        table.add_row(each.name, Text(each.health, _COLOURS[each.health]), Text(each.reason))
    return table


def _deployments(applications: tuple[Application, ...]) -> Table:
    table = Table("application", "deployment", "state", "replicas", "message", title="Deployments")
    for application in applications:
        for each in application.deployments:
            replicas = f"{each.running}/{len(each.replicas)}"
            table.add_row(application.name, each.name, each.status, replicas, each.message)
        if not application.deployments:
            table.add_row(application.name, "", application.status, "", application.message)
    return table


def _models(readiness: Readiness) -> Table:
    table = Table("model", "state", "detail", title="Models")
    for model in readiness.models:
        detail = describe(model).removeprefix(f"{model.name}: ")
        table.add_row(model.name, model.state, detail)
    return table
