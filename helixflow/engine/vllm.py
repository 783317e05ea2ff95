"""The real engine: vLLM, through its own OpenAI serving objects.

Nothing of vLLM is imported before `start`, which first sets the environment that vLLM reads on
import. The engine runs in a process of its own; this one renders prompts, parses answers and counts.

Failure behavior: a model that cannot be loaded raises `ModelLoadError` with the reason. When the
engine's process dies, running requests end with `Unavailable` (`engine_died`), later ones are refused
the same way, and `health` raises, so that the replica is replaced.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from helixflow.engine.body import read_body
from helixflow.engine.budget import Budget
from helixflow.engine.metering import Meters
from helixflow.engine.ports import Progress
from helixflow.engine.tether import Tether
from helixflow.engine.vllm_args import apply_environment, command_line, engine_environment
from helixflow.errors import Refusal, Unavailable
from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.load import Load
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.request import EngineRequest
from helixflow.inference.usage import Usage

_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an engine is started with: the model's folder, and the memory that it is given."""

    folder: Path
    budget: Budget


Prepare: TypeAlias = Callable[[Progress], Awaitable[Prepared]]
"""Brings the weights here and decides what fits. Raises `ModelLoadError`."""


class VllmEngine:
    """Implements `Engine`.

    Args:
        prepare: run by `start`, before vLLM is imported.
        run_dir: where the engine's processes are tied to this one.
        merge_from: sequences from which on several tokens leave as one chunk.
    """

    def __init__(
        self, spec: ModelSpec, prepare: Prepare, run_dir: Path, merge_from: int = 8
    ) -> None:
        self._spec = spec
        self._prepare = prepare
        self._run_dir = run_dir
        self._merge_from = merge_from
        self._meters = Meters()
        self._runs: dict[str, Any] = {}
        self._serving: Any = None
        self._budget: Budget | None = None
        self._tether: Tether | None = None

    async def start(self, progress: Progress) -> None:
        prepared = await self._prepare(progress)
        self._budget = prepared.budget
        apply_environment(engine_environment(prepared.budget))
        progress("starting the engine", 0.4)
        words = command_line(self._spec, prepared.folder, prepared.budget)
        self._tether = Tether.open(self._run_dir, self._spec.name)
        try:
            self._serving = await _serve(words, self._merge_from)
        except BaseException:
            await self.stop()
            raise
        progress("ready", 1.0)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        serving = self._ready()
        read_body(request)
        meter = self._meters.open(request.request_id)
        run = self._runs[request.request_id] = serving.run(meter)
        last = b""
        try:
            if request.stream:
                async with aclosing(serving.stream(request, run)) as pieces:
                    async for piece in pieces:
                        if run.finished:
                            last = piece
                        else:
                            yield Frame(piece)
            else:
                last = await serving.unary(request, run)
        finally:
            del self._runs[request.request_id]
            await serving.abandon(run)
            self._meters.close(request.request_id)
        yield Frame(last, Sidecar(meter.usage, meter.finish_reason, self.load()))

    def usage(self, request_id: str) -> Usage:
        run = self._runs.get(request_id)
        if run is not None and self._serving is not None:
            self._serving.llm.count_running(run)
        return self._meters.usage(request_id)

    def load(self) -> Load:
        if self._serving is None or self._budget is None:
            return Load()
        sequences, tokens = self._serving.load()
        running = min(sequences, self._spec.sequences_max)
        kv_used = min(1.0, tokens / self._budget.kv_tokens)
        return Load(running, sequences - running, kv_used)

    async def health(self) -> None:
        self._ready()

    async def stop(self) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.close(_STOP_S)
        tether, self._tether = self._tether, None
        if tether is not None:
            tether.close()

    def _ready(self) -> Any:
        if self._serving is None:
            raise Unavailable(
                Refusal.ENGINE_DIED, "The engine is not running.", retry_after_s=_STOP_S
            )
        self._serving.check()
        return self._serving


async def _serve(words: list[str], merge_from: int) -> Any:
    """Import vLLM, and start it."""
    vllm = await asyncio.to_thread(importlib.import_module, "helixflow.engine.vllm_serving")
    llm, args = await asyncio.to_thread(vllm.start_engine, words, merge_from)
    try:
        return await vllm.Serving.over(llm, args)
    except BaseException:
        await llm.end(_STOP_S)
        raise
