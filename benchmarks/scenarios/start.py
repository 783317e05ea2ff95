"""From the start command to the first token, on a machine where everything is installed.

The model is prepared (converted) before, as `make up` does it once; every start has a home folder
of its own, so that nothing but the model is there already.
"""

from __future__ import annotations

from benchmarks.scenarios.ports import Scenario
from benchmarks.settings import EMBEDDED_CONFIG, Depth, models_dir
from benchmarks.systems.helixflow_stack import HelixFlow


def start(depth: Depth) -> Scenario:
    """Starts and stops, nothing else."""
    return Scenario(
        name="start",
        title="From start to the first token",
        systems=(lambda: HelixFlow(EMBEDDED_CONFIG, models_dir()),),
        loads=(),
        visits=depth.visits,
        rounds=0,
    )
