from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks" / "k6").glob("*.js"))
NODE = shutil.which("node")


def test_the_scripts_are_there_and_each_says_how_it_is_run() -> None:
    runs = {script.name: script.read_text(encoding="utf-8") for script in SCRIPTS}
    shared = runs.pop("chat.js")
    assert set(runs) == {"echo.js", "streams.js", "overload.js"}
    assert "__ENV.OPENAI_BASE_URL" in shared
    assert "__ENV.OPENAI_API_KEY" in shared
    for name, text in runs.items():
        assert f"benchmarks/k6/{name}" in text
        assert "export const options" in text
        assert "export default function" in text


@pytest.mark.skipif(NODE is None, reason="no node to check the syntax with")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_its_syntax_is_that_of_a_module(script: Path) -> None:
    assert NODE is not None
    checked = subprocess.run(
        [NODE, "--input-type=module", "--check"],
        input=script.read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, b"")
