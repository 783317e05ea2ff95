"""Ray Serve's declarative interface, over the dashboard's REST calls (as `serve deploy` uses it).

A PUT with what is deployed already changes nothing and restarts nothing: Serve compares the
import path, the arguments and the runtime environment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from helixflow.cli.failure import CommandFailed
from helixflow.cli.http import Client, Unreachable
from helixflow.settings import Settings

APP = "helixflow"
IMPORT_PATH = "deployments.app:build"
_PATH = "/api/serve/applications/"
_DEPLOY_S = 90.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as Serve sees it.

    Attributes:
        app, name: what it is called.
        status: Serve's word (`HEALTHY`, `UPDATING`, ...).
        message: why it is so, if Serve says.
        replicas: Serve's word for the state of each replica.
    """

    app: str
    name: str
    status: str
    message: str
    replicas: tuple[str, ...]

    @property
    def running(self) -> int:
        return self.replicas.count("RUNNING")


@dataclass(frozen=True, slots=True)
class Application:
    """An application as Serve sees it."""

    name: str
    status: str
    message: str
    route: str
    deployments: tuple[Deployment, ...]

    @property
    def failed(self) -> bool:
        return self.status in ("DEPLOY_FAILED", "UNHEALTHY")


class ServeApi:
    """Serve behind a dashboard. `Unreachable` where the dashboard does not answer."""

    def __init__(self, dashboard_url: str, token: str) -> None:
        self._client = Client(dashboard_url, token)

    def alive(self) -> bool:
        """Whether the dashboard answers to our token."""
        try:
            return self._client.request("GET", "/api/version", timeout_s=3.0).status == 200
        except Unreachable:
            return False

    def deploy(self, schema: dict[str, Any]) -> None:
        """Make it so. Raises CommandFailed with Serve's words where it refuses."""
        answer = self._client.request("PUT", _PATH, schema, timeout_s=_DEPLOY_S)
        if answer.status != 200:
            raise CommandFailed(f"Serve refused the application: {answer.body.decode()[:2000]}")

    def applications(self) -> list[Application]:
        """Everything that is deployed; empty while Serve is not started."""
        answer = self._client.request("GET", _PATH)
        if answer.status != 200:
            raise Unreachable(
                f"the dashboard answered {answer.status}: {answer.body.decode()[:300]}"
            )
        found = (answer.json() or {}).get("applications") or {}
        return [_application(name, raw) for name, raw in sorted(found.items())]

    def shut_down(self, timeout_s: float) -> bool:
        """Drain and end all applications and Serve itself; False where it took too long."""
        try:
            return self._client.request("DELETE", _PATH, timeout_s=timeout_s).status == 200
        except Unreachable:
            return False


def serve_schema(settings: Settings, import_path: str = IMPORT_PATH) -> dict[str, Any]:
    """What is deployed: one application, and where its front listens.

    The settings travel as they are here (file, environment and options together), so that a
    changed value deploys anew and an unchanged one does not.
    """
    # Serve's own access log would cost a record per request and hop.
    logging = {"log_level": settings.telemetry.log_level, "enable_access_log": False}
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": settings.http.host, "port": settings.http.port},
        "logging_config": logging,
        "applications": [
            {
                "name": APP,
                "route_prefix": "/",
                "import_path": import_path,
                "logging_config": logging,
                "args": {"settings": json.loads(settings.model_dump_json())},
            }
        ],
    }


def _application(name: str, raw: dict[str, Any]) -> Application:
    deployments = tuple(
        Deployment(
            name,
            title,
            str(each.get("status", "")),
            str(each.get("message", "")),
            tuple(str(replica.get("state", "")) for replica in each.get("replicas") or ()),
        )
        for title, each in sorted((raw.get("deployments") or {}).items())
    )
    return Application(
        name,
        str(raw.get("status", "")),
        str(raw.get("message", "")),
        str(raw.get("route_prefix") or ""),
        deployments,
    )
