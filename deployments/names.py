"""What the apps and deployments are called, and how handles between them are set up."""

from __future__ import annotations

from typing import Any

from ray.serve.handle import DeploymentHandle

AUTH = "Auth"
INGRESS = "Ingress"
MODEL = "Model"
RATE_LIMITER = "RateLimiter"
ROUTER = "Router"

TELEMETRY = "helixflow-telemetry"
NAMESPACE = "helixflow"
"""The actor that is no deployment, and where Ray keeps its name."""

# Serve makes a log record per hop and request, and drops it later where its access log is off:
# only a level above it saves the cost. The pipeline reports requests itself.
LOGGING = {"encoding": "JSON", "enable_access_log": False, "log_level": "WARNING"}

UNKNOWN_REVISION = -1
"""What Auth answers while its database is away; no real revision is negative."""

_MODEL_APP_PREFIX = "model-"


def model_app(name: str) -> str:
    """The app of the model of that name."""
    return _MODEL_APP_PREFIX + name


def model_of(app: str) -> str | None:
    """The model whose app this is, or None where it is no model app."""
    return app.removeprefix(_MODEL_APP_PREFIX) if app.startswith(_MODEL_APP_PREFIX) else None


def lean(handle: DeploymentHandle[Any], *, stream: bool = False) -> DeploymentHandle[Any]:
    """A handle that calls by gRPC and pickles plain values: the cheapest hop that Serve has.

    Made once and kept: `options` costs more than the call.
    """
    return handle.options(
        stream=stream,
        _by_reference=False,
        request_serialization="pickle",
        response_serialization="pickle",
    )
