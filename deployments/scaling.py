"""How many replicas of a model there should be: Serve's own rule, over everything they answer.

Serve counts the requests of its handles. Those that come in by a replica's door (helixflow/direct)
are counted by the replica, reported to Serve's controller as a custom metric, and added here.
"""

from __future__ import annotations

from typing import Any

from ray.serve.config import AutoscalingContext

DIRECT_REQUESTS = "direct_requests"


def replicas_wanted(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Replicas so that each has its target of ongoing requests; runs in Serve's controller.

    Bounds, factors and delays are applied by Serve. Without a replica there is no door, and Serve
    itself starts the first one for what waits in its handles.
    """
    if context.current_num_replicas == 0:
        return context.target_num_replicas, {}
    direct = (context.aggregated_metrics or {}).get(DIRECT_REQUESTS, {})
    ongoing = float(context.total_num_requests) + sum(direct.values())
    return ongoing / context.config.get_target_ongoing_requests(), {}
