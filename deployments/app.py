"""The composition root: from a configuration to the application that Ray Serve runs.

    serve run deployments.app:build config=configs/embedded.yaml

Here the settings tree is taken apart: each deployment is given the branches that it needs as plain
values, and everything below this folder gets constructor arguments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application

from deployments.auth import Auth
from deployments.ingress import Ingress
from deployments.names import AUTH, INGRESS, LOGGING, RATE_LIMITER, ROUTER
from deployments.rate_limiter import RateLimiter
from deployments.router import Router
from deployments.specs import model_spec
from helixflow.errors import ConfigError
from helixflow.settings import Settings

# Small enough that the whole platform schedules on two cores beside a model.
_CONTROL = {"num_cpus": 0.1}


def build(args: dict[str, Any]) -> Application:
    """The application `helixflow`.

    Args:
        args: `config` names a YAML file (relative to the working folder, or to the folder that
            holds the `deployments` package); or `settings` holds the tree itself as plain tables.

    Raises ConfigError for anything else, and for a configuration that cannot be used.
    """
    settings = _settings(dict(args))
    tree = _tree(settings)
    # A handle waits in its caller's queue when a replica is full: bounded, like every queue.
    stack = settings.stack
    bounds = {
        "max_ongoing_requests": stack.ongoing_max,
        "max_queued_requests": stack.ongoing_max,
        "logging_config": LOGGING,
    }
    drain = {"graceful_shutdown_timeout_s": stack.drain_s, "graceful_shutdown_wait_loop_s": 0.2}
    auth = serve.deployment(
        name=AUTH, num_replicas=stack.auth_replicas, ray_actor_options=_CONTROL, **bounds
    )(Auth).bind(tree)
    router = serve.deployment(name=ROUTER, num_replicas=1, ray_actor_options=_CONTROL, **bounds)(
        Router
    ).bind([model_spec(model).to_json() for model in settings.models], tree)
    limiter = serve.deployment(
        name=RATE_LIMITER,
        num_replicas=stack.rate_limiter_replicas,
        ray_actor_options=_CONTROL,
        **bounds,
    )(RateLimiter).bind(router, tree)
    ingress = serve.deployment(
        name=INGRESS,
        num_replicas=stack.ingress_replicas,
        ray_actor_options=_CONTROL,
        **bounds,
        **drain,
    )(Ingress)
    return ingress.bind(auth, router, limiter, tree)


def _settings(args: dict[str, Any]) -> Settings:
    config, tree = args.pop("config", None), args.pop("settings", None)
    if args or (config is None) == (tree is None):
        raise ConfigError("build takes exactly one argument: config=FILE (or settings=TREE)")
    if tree is not None:
        return Settings.of(tree)
    path = Path(config)
    if not path.is_absolute() and not path.exists():
        path = Path(__file__).resolve().parent.parent / path
    return Settings.load(path)


def _tree(settings: Settings) -> dict[str, Any]:
    """The branches as plain tables, with every folder absolute."""
    tree = settings.model_dump(mode="json", exclude={"models"})
    tree["home"] = str(settings.home_path)
    tree["models_dir"] = str(settings.models_path)
    tree["run_dir"] = str(settings.home_path / "run")
    return tree
