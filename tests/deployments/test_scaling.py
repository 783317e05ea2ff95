from __future__ import annotations

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from deployments.scaling import DIRECT_REQUESTS, replicas_wanted

MODEL = DeploymentID("Model", "model-echo-1")


def context(
    *, by_serve: float, direct: tuple[float, ...], running: int, wanted: int
) -> AutoscalingContext:
    replicas = [ReplicaID(str(index), MODEL) for index in range(running)]
    reported = dict(zip(replicas, direct, strict=False))
    return AutoscalingContext(
        deployment_id=MODEL,
        deployment_name=MODEL.name,
        app_name=MODEL.app_name,
        current_num_replicas=running,
        target_num_replicas=wanted,
        running_replicas=replicas,
        total_num_requests=by_serve,
        total_queued_requests=0.0,
        aggregated_metrics={DIRECT_REQUESTS: reported} if reported else {},
        raw_metrics={},
        capacity_adjusted_min_replicas=0,
        capacity_adjusted_max_replicas=10,
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=0.0,
        config=AutoscalingConfig(min_replicas=0, max_replicas=10, target_ongoing_requests=4),
    )


@pytest.mark.parametrize(
    ("by_serve", "direct", "running", "wanted", "expected"),
    [
        (0.0, (), 1, 1, 0.0),
        (8.0, (), 1, 1, 2.0),
        (0.0, (8.0,), 1, 1, 2.0),
        (4.0, (8.0, 4.0), 2, 2, 4.0),
        (0.0, (0.0, 0.0), 2, 2, 0.0),
        (3.0, (), 0, 1, 1),
    ],
)
def test_requests_of_both_ways_are_shared_out(
    by_serve: float, direct: tuple[float, ...], running: int, wanted: int, expected: float
) -> None:
    asked = context(by_serve=by_serve, direct=direct, running=running, wanted=wanted)
    assert replicas_wanted(asked) == (expected, {})
