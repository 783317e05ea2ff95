"""From a model spec to the engine that runs it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import structlog

from helixflow.clock import Clock, SystemClock
from helixflow.engine.budget import Shares, plan
from helixflow.engine.echo import EchoEngine
from helixflow.engine.hardware import detect
from helixflow.engine.ports import Engine, Progress
from helixflow.engine.sources import resolve
from helixflow.engine.tether import await_orphans
from helixflow.engine.vllm import Prepared, VllmEngine
from helixflow.engine.weights import read_facts
from helixflow.inference.model_spec import EngineKind, ModelSpec
from helixflow.settings import EngineSettings

_log = structlog.get_logger(__name__)


def build_engine(
    spec: ModelSpec,
    settings: EngineSettings,
    models_dir: Path,
    run_dir: Path,
    clock: Clock | None = None,
) -> Engine:
    """The engine of a spec, not started. Imports nothing of vLLM.

    Args:
        models_dir: where converted and downloaded models are kept.
        run_dir: where the engine's processes are tied to this one (`engine/tether.py`).
    """
    clock = clock or SystemClock()
    if spec.engine is EngineKind.ECHO:
        return EchoEngine(spec, clock=clock)

    async def prepare(progress: Progress) -> Prepared:
        return await prepare_model(spec, settings, models_dir, run_dir, progress)

    return VllmEngine(spec, prepare, run_dir, settings.merge_from_sequences)


async def prepare_model(
    spec: ModelSpec, settings: EngineSettings, models_dir: Path, run_dir: Path, progress: Progress
) -> Prepared:
    """What comes before an engine: no orphans, weights on this machine, and room for them.

    Raises `ModelLoadError`.
    """
    progress("waiting for an earlier engine to end", 0.01)
    await await_orphans(run_dir, spec.name, settings.orphan_s)
    folder = await resolve(spec.source, models_dir, progress)
    facts = await asyncio.to_thread(read_facts, folder)
    hardware = detect(os.environ.get("CUDA_VISIBLE_DEVICES"))
    budget = plan(spec, facts, hardware, Shares(settings.memory_share, settings.gpu_share))
    _log.info("model_budget", model=spec.name, plan=budget.explain())
    return Prepared(folder, budget)
