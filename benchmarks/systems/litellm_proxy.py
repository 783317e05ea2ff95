"""LiteLLM's proxy before a ready-made upstream, with its master key and in-memory limits.

Its virtual keys and spend logs need a database client (Prisma) whose engine is downloaded from
outside the package index when it is first used, so they are left off here: what is measured is
LiteLLM doing less than HelixFlow does. The upstream is the trivial server, which answers sooner
than HelixFlow's own echo engine; so that the pair is not in our favour there either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.settings import ROOT
from benchmarks.systems.loopback import HOST, free_ports, wait_until_ok
from benchmarks.systems.peer_environment import peer_environment
from benchmarks.systems.ports import Running, Steady
from benchmarks.systems.processes import Family

_KEY = "sk-benchmark"
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "ERROR",
    "NO_DOCS": "True",
}


class LiteLlm(Steady):
    """Implements `System`.

    Args:
        workers: processes of the proxy.
    """

    start_s = 12.0

    def __init__(self, workers: int = 1) -> None:
        self.name = self.base = "litellm" if workers == 1 else f"litellm_w{workers}"
        self.title = f"LiteLLM proxy, {workers} worker{'s' * (workers > 1)}"
        self.family = Family()
        self._workers = workers
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, folder: Path) -> Running:
        programs = peer_environment("litellm")
        upstream, port = free_ports(2)
        log, config = folder / "litellm.log", folder / "litellm.json"
        config.write_text(json.dumps(_config(upstream)))
        begin = time.monotonic()
        self._begin(
            [sys.executable, "-m", "benchmarks.systems.trivial", str(upstream)],
            folder / "upstream.log",
            {"PYTHONPATH": str(ROOT)},
        )
        proxy = self._begin(
            [
                str(programs / "litellm"), "--config", str(config), "--host", HOST,
                "--port", str(port), "--num_workers", str(self._workers),
            ],
            log,
            _QUIET,
        )  # fmt: skip
        wait_until_ok(port, "/health/liveliness", proxy, log)
        return Running(
            HOST,
            port,
            time.monotonic() - begin,
            headers={"authorization": f"Bearer {_KEY}"},
            facts={
                "workers": self._workers,
                "authentication": "master key",
                "limits": "rpm and tpm of the model, in memory",
                "virtual keys and spend logs": "off: Prisma's engine is in no package index",
            },
        )

    def stop(self) -> None:
        self.family.end()
        for process in self._processes:
            process.wait()

    def _begin(
        self, command: list[str], log: Path, extra: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.family.environment(extra),
            )
        self._processes.append(process)
        return process


def _config(upstream: int) -> dict[str, object]:
    """JSON is YAML, which is what LiteLLM reads."""
    return {
        "model_list": [
            {
                "model_name": "echo-1",
                "litellm_params": {
                    "model": "openai/echo-1",
                    "api_base": f"http://{HOST}:{upstream}/v1",
                    "api_key": "none",  # pragma: allowlist secret
                    "rpm": 10_000_000,
                    "tpm": 1_000_000_000,
                },
            }
        ],
        "general_settings": {"master_key": _KEY, "disable_spend_logs": True},
        "litellm_settings": {"num_retries": 0, "request_timeout": 60},
    }
