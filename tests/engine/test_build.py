from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helixflow.engine.build import build_engine
from helixflow.engine.echo import EchoEngine
from helixflow.engine.vllm import VllmEngine
from helixflow.errors import ModelLoadError, Unavailable
from helixflow.inference.load import Load
from helixflow.inference.model_spec import EngineKind, ModelSource, ModelSpec, SourceKind
from helixflow.inference.usage import Usage
from helixflow.settings import EngineSettings


def test_each_kind_of_engine_is_built(tmp_path: Path) -> None:
    for kind, made in ((EngineKind.ECHO, EchoEngine), (EngineKind.VLLM, VllmEngine)):
        engine = build_engine(ModelSpec("echo-1", kind), EngineSettings(), tmp_path, tmp_path)
        assert isinstance(engine, made)


async def test_an_engine_whose_weights_are_absent_fails_to_load(tmp_path: Path) -> None:
    source = ModelSource(SourceKind.PATH, str(tmp_path / "absent"))
    spec = ModelSpec("m", EngineKind.VLLM, source=source)
    engine = build_engine(spec, EngineSettings(), tmp_path, tmp_path / "run")
    with pytest.raises(ModelLoadError, match=r"no config\.json"):
        await engine.start(lambda _what, _far: None)


async def test_an_engine_that_is_not_started_says_so(tmp_path: Path) -> None:
    engine = build_engine(ModelSpec("m", EngineKind.VLLM), EngineSettings(), tmp_path, tmp_path)
    assert engine.load() == Load()
    assert engine.usage("req_1") == Usage()
    with pytest.raises(Unavailable):
        await engine.health()
    await engine.stop()


def test_nothing_heavy_is_imported_before_an_engine_starts() -> None:
    code = (
        "import sys, helixflow.engine.build, helixflow.engine.replica\n"
        "print([name for name in ('vllm', 'torch', 'transformers', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
