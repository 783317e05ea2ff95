"""vLLM's own OpenAI server, alone: the same model folder, engine flags, memory and threads.

Its access log is off, because HelixFlow's is, and its attention gives right answers on every CPU, as
HelixFlow's does (docs/decisions/0015); all else is as vLLM does it by itself. `alike` also takes over
HelixFlow's choice of executor, which leaves one process less than vLLM's own; `bare` leaves vLLM its
own choice of attention, right or wrong.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.systems.engine_facts import EngineFacts
from benchmarks.systems.loopback import HOST, free_ports, wait_until_ok
from benchmarks.systems.ports import Running, Steady
from benchmarks.systems.processes import Family


class BareVllm(Steady):
    """Implements `System`."""

    start_s = 30.0

    def __init__(
        self,
        engine: Callable[[], EngineFacts],
        *,
        alike: bool = False,
        bare: bool = False,
        base: str = "",
    ) -> None:
        self.name, self.title = "vllm", "bare vLLM server"
        if alike:
            self.name, self.title = "vllm_alike", "bare vLLM, our executor"
        if bare:
            self.name, self.title = "vllm_own", "bare vLLM, its own attention"
        self._bare = bare
        self.base = f"{self.name} {base}"
        self._engine = engine
        self._alike = alike
        self.family = Family()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> Running:
        port, log = free_ports(1)[0], folder / "vllm.log"
        engine = self._engine()
        environment = engine.environment | ({"VLLM_PLUGINS": ""} if self._bare else {})
        words = [*engine.arguments, *(engine.executor if self._alike else ())]
        begin = time.monotonic()
        with log.open("wb") as out:
            process = self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "vllm.entrypoints.openai.api_server",
                    "--host", HOST, "--port", str(port),
                    "--model", engine.folder, "--served-model-name", engine.name,
                    "--disable-uvicorn-access-log", *words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.family.environment(environment),
            )  # fmt: skip
        wait_until_ok(port, "/health", process, log)
        ready_s = time.monotonic() - begin
        facts = {"arguments": words, "environment": environment}
        return Running(HOST, port, ready_s, facts=facts)

    def stop(self) -> None:
        self.family.end()
        if self._process is not None:
            self._process.wait()
