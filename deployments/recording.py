"""The recorder of a deployment's replica."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments.telemetry_calls import RayTelemetry, find
from helixflow.clock import Clock
from helixflow.settings import TelemetrySettings
from helixflow.telemetry.recorder import Recorder


def start_recorder(
    tree: dict[str, Any], role: str, clock: Clock, look: Callable[[], Any] = find
) -> Recorder:
    """A recorder that ships to the Telemetry actor; needs a running loop. `close` it at the end.

    Args:
        tree: the settings' branches as plain tables.
        role: what kind of process this is (`auth`, `ingress`, `model`, `router`).
        look: finds the actor (telemetry_calls.py, telemetry.py).
    """
    settings = TelemetrySettings(**tree["telemetry"])
    recorder = Recorder(Path(tree["home"]), role, clock, settings)
    recorder.start(RayTelemetry(settings, look))
    return recorder
