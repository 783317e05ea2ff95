"""The README's snippets, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, Stack, read_env

pytestmark = pytest.mark.stack

README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(language: str, word: str) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return [block for block in blocks if word in block]


def run(words: list[str], stack: Stack, folder: Path, **extra: str) -> str:
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **read_env(stack.home), **extra},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_curl_line_answers(stack: Stack, tmp_path: Path) -> None:
    (snippet,) = snippets("sh", "curl")
    # The README's reader stands in the checkout, whose home folder is .helixflow.
    (tmp_path / ".helixflow").symlink_to(stack.home)
    assert "Paris" in run(["bash", "-euc", snippet], stack, tmp_path)


def test_the_openai_client_answers(stack: Stack, tmp_path: Path) -> None:
    (snippet,) = snippets("python", "import openai")
    assert "Paris" in run([sys.executable, "-c", snippet], stack, tmp_path)


def test_the_ray_program_answers(stack: Stack, tmp_path: Path) -> None:
    (snippet,) = snippets("python", "import helixflow")
    joined = {**stack.record["ray_environment"], "RAY_ADDRESS": stack.record["ray_address"]}
    assert run([sys.executable, "-c", snippet], stack, tmp_path, **joined).strip()


def test_the_configuration_is_accepted(stack: Stack, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("helixflow"))
    (snippet,) = snippets("yaml", "models:")
    file = tmp_path / "config.yaml"
    file.write_text(snippet)
    said = run([program, "config", "check", str(file)], stack, tmp_path)
    assert "smollm2" in said


def test_every_file_that_the_readme_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
