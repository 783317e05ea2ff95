"""Waiting for a stack to be ready, and saying meanwhile what it is doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from helixflow.cli.failure import CommandFailed
from helixflow.cli.gateway_api import GatewayApi, ModelReadiness, Readiness
from helixflow.cli.http import Unreachable
from helixflow.cli.serve_api import APP, Application, ServeApi
from helixflow.cli.steps import bar

_POLL_S = 0.1
_SERVE_POLL_S = 1.0


def wait_until_ready(
    gateway: GatewayApi,
    serve: ServeApi,
    limit_s: float,
    say: Callable[[Sequence[str]], None],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Readiness:
    """Wait until every model is up or has failed for good.

    Raises CommandFailed where the application cannot be built, and after `limit_s`.
    """
    end, ask_serve_at = monotonic() + limit_s, 0.0
    while True:
        readiness = gateway.readiness()
        up = readiness is not None and (readiness.settled or _empty(readiness))
        if readiness is not None:
            say([describe(model) for model in readiness.models] or list(readiness.waiting))
        if up or monotonic() >= ask_serve_at:
            ask_serve_at = monotonic() + _SERVE_POLL_S
            applications = _applications(serve)
            _require_buildable(applications)
            # The front may still be the one from before a change of configuration.
            if readiness is not None and up and _settled(applications):
                return readiness
            if readiness is None:
                say(_deployments(applications))
        if monotonic() > end:
            raise CommandFailed(
                f"not ready after {limit_s:g} s; it goes on: `helixflow status` shows how far it"
                " is, `helixflow logs` why, and `helixflow up` waits again"
            )
        sleep(_POLL_S)


def _empty(readiness: Readiness) -> bool:
    """A platform without models is ready when it says so."""
    return readiness.ready and not readiness.models


def _settled(applications: Sequence[Application]) -> bool:
    return any(each.name == APP and each.status == "RUNNING" for each in applications)


def describe(model: ModelReadiness) -> str:
    """A model's state in one line."""
    if model.state == "ready":
        return f"{model.name}: ready"
    if model.state == "failed":
        return f"{model.name}: failed {model.detail}".rstrip()
    if model.state == "loading":
        return f"{model.name}: {bar(model.progress)} {model.detail}".rstrip()
    return f"{model.name}: {model.state} {model.detail}".rstrip()


def _applications(serve: ServeApi) -> list[Application]:
    try:
        return serve.applications()
    except Unreachable:
        return []  # a busy machine's dashboard may be slow; the limit still counts


def _require_buildable(applications: Sequence[Application]) -> None:
    for application in applications:
        if application.name == APP and application.failed:
            raise CommandFailed(f"the application cannot run:\n{application.message.strip()}")


def _deployments(applications: Sequence[Application]) -> list[str]:
    lines = [
        f"{deployment.app}/{deployment.name}: {deployment.status.lower()},"
        f" {deployment.running} of {len(deployment.replicas)} replicas running"
        for application in applications
        for deployment in application.deployments
    ]
    return lines or ["building the application"]
