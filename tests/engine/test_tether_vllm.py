"""A replica with a real engine, killed: while it loads, and while it answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from helixflow.engine.tether import await_orphans

from .conftest import SMOL

REPLICA = """
import asyncio, pathlib, sys
from helixflow.engine.build import build_engine
from helixflow.inference.model_spec import ModelSpec
from helixflow.settings import EngineSettings

async def main():
    spec = ModelSpec.from_json(sys.argv[1])
    engine = build_engine(spec, EngineSettings(), *map(pathlib.Path, sys.argv[2:4]))
    await engine.start(lambda what, far: print(what, flush=True))
    await asyncio.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


async def descendants(pid: int) -> list[psutil.Process]:
    """The engine's processes, once there are any."""
    async with asyncio.timeout(120):
        while True:
            found = [
                child
                for child in psutil.Process(pid).children(recursive=True)
                if "spawn_main" in " ".join(child.cmdline()) or "VLLM" in child.name()
            ]
            if found:
                return found
            await asyncio.sleep(0.1)


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("line", ["starting the engine", "ready"])
async def test_the_engine_ends_within_five_seconds_of_its_replica(
    models_dir: Path, tmp_path: Path, line: str
) -> None:
    program = tmp_path / "replica.py"
    program.write_text(REPLICA)
    run_dir = tmp_path / "run"
    command = [sys.executable, str(program), SMOL.to_json(), str(models_dir), str(run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as replica:
        assert replica.stdout is not None
        while not (said := await asyncio.to_thread(replica.stdout.readline)).startswith(line):
            assert said, "the replica ended"
        engine = await descendants(replica.pid)
        replica.kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, engine, 5.0)
    assert not alive
    await await_orphans(run_dir, SMOL.name, 5.0)
    assert not list((run_dir / SMOL.name).iterdir())
