from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import sys
from pathlib import Path

import pytest

from helixflow.engine.conversion import converted
from helixflow.errors import ModelLoadError

WORKS = """
import pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir()
(target / "config.json").write_text("{}")
with (source.parent / "runs").open("a") as runs:
    runs.write("x")
"""
FAILS = "import pathlib, sys; pathlib.Path(sys.argv[2]).mkdir(); sys.exit('no such architecture')"
SILENT = "import sys; sys.exit(3)"
HANGS = "import pathlib, sys, time; pathlib.Path(sys.argv[2]).mkdir(); time.sleep(60)"


def quiet(_what: str, _far: float) -> None:
    """Nobody watches."""


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF" + bytes(60))
    return file


async def test_a_file_is_converted_once_and_kept_by_its_checksum(file: Path) -> None:
    models, said = file.parent / "models", []
    for _ in range(2):
        folder = await converted(
            file, "", models, lambda what, _far: said.append(what), program(WORKS)
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert folder == models / f"tiny-{digest[:16]}"
    assert (folder / "config.json").is_file()
    assert (file.parent / "runs").read_text() == "x"
    assert said == ["checking tiny.gguf", "converting tiny.gguf", "checking tiny.gguf"]


async def test_two_replicas_convert_once(file: Path) -> None:
    models = file.parent / "models"
    asked = (converted(file, "", models, quiet, program(WORKS)) for _ in range(2))
    first, second = await asyncio.gather(*asked)
    assert first == second
    assert (file.parent / "runs").read_text() == "x"


async def test_the_expected_checksum_is_compared(file: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest().upper()
    models = file.parent / "models"
    await converted(file, digest, models, quiet, program(WORKS))
    with pytest.raises(ModelLoadError, match=f"{'0' * 64} is expected"):
        await converted(file, "0" * 64, models, quiet, program(WORKS))


async def test_a_file_that_changed_is_refused_until_a_person_trusts_it(file: Path) -> None:
    models = file.parent / "models"
    before = await converted(file, "", models, quiet, program(WORKS))
    file.write_bytes(b"GGUF" + bytes(61))
    with pytest.raises(ModelLoadError, match=r"has changed.*source\.sha256"):
        await converted(file, "", models, quiet, program(WORKS))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    after = await converted(file, digest, models, quiet, program(WORKS))
    assert after != before
    assert await converted(file, "", models, quiet, program(WORKS)) == after


async def test_a_file_that_was_only_touched_is_the_same_file(file: Path) -> None:
    models = file.parent / "models"
    before = await converted(file, "", models, quiet, program(WORKS))
    os.utime(file, (1, 1))
    assert await converted(file, "", models, quiet, program(WORKS)) == before


@pytest.mark.parametrize(("text", "said"), [(FAILS, "no such architecture"), (SILENT, "3")])
async def test_a_conversion_that_fails_leaves_nothing_that_looks_complete(
    file: Path, text: str, said: str
) -> None:
    models = file.parent / "models"
    with pytest.raises(ModelLoadError, match=said):
        await converted(file, "", models, quiet, program(text))
    assert not [path for path in models.iterdir() if not path.name.startswith(".")]
    assert (await converted(file, "", models, quiet, program(WORKS))).is_dir()


async def test_a_cancelled_conversion_ends_its_program(file: Path) -> None:
    models = file.parent / "models"
    task = asyncio.create_task(converted(file, "", models, quiet, program(HANGS)))
    while not list(models.glob(".*.partial")):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with next(models.glob(".*.lock")).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
