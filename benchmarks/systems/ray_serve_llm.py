"""`ray.serve.llm` on a Ray head of its own, with HelixFlow's Ray and HAProxy flags and engine.

It imports pyarrow, which HelixFlow does not need: that is installed into a folder of its own
(`benchmarks/peers/ray_serve_llm.txt`) and seen by this system's processes alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.bare_serve import BareServe
from benchmarks.systems.engine_facts import EngineFacts
from benchmarks.systems.peer_environment import peer_packages
from benchmarks.systems.ports import Running


class RayServeLlm(BareServe):
    """Implements `System`."""

    name = "ray_serve_llm"
    title = "ray.serve.llm"
    base = "ray_serve_llm"
    start_s = 70.0
    ready_limit_s = 300.0

    def __init__(self, engine: Callable[[], EngineFacts]) -> None:
        super().__init__()
        self._engine = engine

    def start(self, folder: Path) -> Running:
        self.packages = (str(peer_packages("ray_serve_llm")),)
        running = super().start(folder)
        running.facts["arguments"] = self._engine().arguments
        running.facts["stream_batching_interval_ms"] = 0
        return running

    def applications(self) -> list[dict[str, Any]]:
        """See `BareServe.applications`."""
        engine = self._engine()
        arguments = {
            "name": engine.name,
            "folder": engine.folder,
            "arguments": keywords(engine.arguments),
            "environment": {**engine.environment, "PYTHONPATH": self.python_path()},
        }
        return [
            {
                "name": "llm",
                "route_prefix": "/",
                "import_path": "benchmarks.systems.ray_serve_llm_app:build",
                "runtime_env": {"env_vars": engine.environment},
                "args": arguments,
            }
        ]

    @property
    def model(self) -> str:
        return self._engine().name


def keywords(words: list[str]) -> dict[str, Any]:
    """vLLM's command line as a table: a flag without a value is true, `--no-` makes it false."""
    found: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--no-"):
            found[word[5:].replace("-", "_")] = False
            name = ""
        elif word.startswith("--"):
            name = word[2:].replace("-", "_")
            found[name] = True
        elif name:
            found[name] = _value(word)
    return found


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word
