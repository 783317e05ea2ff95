"""The fleet of model apps, on Ray Serve: implements `routing.ports.Fleet`.

Failure behavior: Serve's calls block, so they run in a thread and are bounded in time; one that
fails is raised to the reconciler, which tries again. An app is deployed under its spec's
fingerprint as Serve's code version: deploying the same spec twice, by this Router or by the one
that comes after it, restarts nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ray import serve
from ray.serve import RunTarget
from ray.serve.config import AutoscalingPolicy
from ray.serve.context import _get_global_client
from ray.serve.schema import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatusOverview,
)

from deployments.model import Model
from deployments.names import LOGGING, MODEL, model_app, model_of
from deployments.scaling import replicas_wanted
from helixflow.inference.model_spec import ModelSpec
from helixflow.routing.ports import ModelState, ModelStatus

T = TypeVar("T")

_CALL_S = 30.0
_HEALTH_PERIOD_S = 2.0
_HEALTH_TIMEOUT_S = 10.0

# Model replicas are reached through handles only. With these two off they open no port of their
# own: a root deployment would otherwise listen without any authentication.
_NO_PORT = {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"}


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica said last about its loading."""

    stage: str
    done: float
    failure: str


class ServeFleet:
    """Model apps as Serve runs them.

    Args:
        tree: the settings' branches, as plain tables.
        app: the app that this Router belongs to; `serve run` calls it `default`.
    """

    def __init__(self, tree: dict[str, Any], app: str) -> None:
        self._tree = tree
        self._app = app
        self._deployed: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        self._reports: dict[str, Report] = {}
        self._apps: dict[str, ApplicationStatusOverview] = {}

    def report(self, model: str, stage: str, done: float, failure: str) -> None:
        """Take note of what a replica of a model says about its loading."""
        if model in self._deployed:
            self._reports[model] = Report(stage, done, failure)

    async def recorded(self) -> Mapping[str, str]:
        """See `Fleet.recorded`; an app that an earlier Router deployed has no fingerprint here."""
        self._apps = await _in_thread(_model_apps)
        return {name: self._deployed.get(name, "") for name in self._apps}

    async def start(self, specs: Sequence[ModelSpec]) -> None:
        """See `Fleet.start`."""
        targets = []
        for spec in specs:
            if self._deployed.get(spec.name) == spec.fingerprint:
                # The same spec again: its app failed, and only a new version makes Serve try.
                self._attempts[spec.name] = self._attempts.get(spec.name, 0) + 1
            self._reports.pop(spec.name, None)
            targets.append(
                RunTarget(self._application(spec), name=model_app(spec.name), route_prefix=None)
            )
        await _in_thread(lambda: serve.run_many(targets, wait_for_applications_running=False))
        self._deployed.update({spec.name: spec.fingerprint for spec in specs})

    async def stop(self, names: Sequence[str]) -> None:
        """See `Fleet.stop`."""
        for name in names:
            app = model_app(name)
            await _in_thread(partial(serve.delete, app, _blocking=False))
            self._deployed.pop(name, None)
            self._reports.pop(name, None)

    async def statuses(self) -> Mapping[str, ModelStatus]:
        """See `Fleet.statuses`; as of the last `recorded`: asking costs the controller 10 ms."""
        return {name: _status(app, self._reports.get(name)) for name, app in self._apps.items()}

    def _application(self, spec: ModelSpec) -> serve.Application:
        options: dict[str, Any] = {
            "name": MODEL,
            "max_ongoing_requests": spec.ongoing_max,
            "max_queued_requests": spec.ongoing_max,
            "max_constructor_retry_count": 1,
            "health_check_period_s": _HEALTH_PERIOD_S,
            "health_check_timeout_s": _HEALTH_TIMEOUT_S,
            "graceful_shutdown_timeout_s": self._tree["stack"]["drain_s"],
            "logging_config": LOGGING,
            "ray_actor_options": {
                "num_cpus": spec.resources.cpus,
                "num_gpus": spec.resources.gpus or 0,
                "runtime_env": {"env_vars": _NO_PORT},
            },
        }
        if spec.replicas.min == spec.replicas.max:
            options["num_replicas"] = spec.replicas.max
        else:
            options["autoscaling_config"] = {
                "min_replicas": spec.replicas.min,
                "max_replicas": spec.replicas.max,
                "target_ongoing_requests": spec.replicas.target_ongoing,
                "policy": AutoscalingPolicy(policy_function=replicas_wanted),
            }
        attempt = self._attempts.get(spec.name, 0)
        version = spec.fingerprint if attempt == 0 else f"{spec.fingerprint}.{attempt}"
        deployment = serve.deployment(**options)(Model)
        pinned = deployment.options(version=version, _internal=True)
        return pinned.bind(spec.to_json(), self._tree, self._app)


def _model_apps() -> dict[str, ApplicationStatusOverview]:
    """What `serve.status()` says of the model apps.

    That one pickles every deployment's request router on the way: 40 ms of CPU for six of them,
    again and again, on cores that an engine on the CPU needs. This reads the same answer.
    """
    apps = _get_global_client().get_serve_details()["applications"]
    return {
        name: _overview(app) for key, app in apps.items() if (name := model_of(key)) is not None
    }


def _overview(app: Mapping[str, Any]) -> ApplicationStatusOverview:
    return ApplicationStatusOverview(
        status=app["status"],
        message=app["message"],
        last_deployed_time_s=app["last_deployed_time_s"],
        deployments={
            name: DeploymentStatusOverview(
                status=each["status"],
                status_trigger=each["status_trigger"],
                replica_states=dict(
                    Counter(_text(replica["state"]) for replica in each["replicas"])
                ),
                message=each["message"],
            )
            for name, each in app["deployments"].items()
        },
    )


def _text(state: Any) -> str:
    """A replica's state, which comes as text or as Serve's enumeration."""
    return str(getattr(state, "value", state))


async def _in_thread(work: Callable[[], T]) -> T:
    async with asyncio.timeout(_CALL_S):
        return await asyncio.to_thread(work)


def _status(app: ApplicationStatusOverview, report: Report | None) -> ModelStatus:
    deployment = app.deployments.get(MODEL)
    states = {} if deployment is None else deployment.replica_states
    running = states.get("RUNNING", 0)
    failure = report.failure if report is not None else ""
    if running or app.status is ApplicationStatus.RUNNING:
        return ModelStatus(ModelState.READY, "", 1.0, running)
    if app.status is ApplicationStatus.DEPLOY_FAILED or failure:
        return ModelStatus(ModelState.FAILED, failure or _last_line(app), 0.0, 0)
    if app.status is ApplicationStatus.UNHEALTHY:
        return ModelStatus(ModelState.READY, "its replica is being replaced", 1.0, 0)
    if report is not None:
        return ModelStatus(ModelState.LOADING, report.stage, report.done, 0)
    return ModelStatus(ModelState.PENDING, "waiting for a replica to start", 0.0, 0)


def _last_line(app: ApplicationStatusOverview) -> str:
    deployment = app.deployments.get(MODEL)
    text = (deployment.message if deployment is not None else "") or app.message
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "the deployment failed"
