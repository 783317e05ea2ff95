from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from helixflow.cli.failure import CommandFailed
from helixflow.cli.ray_head import head_arguments, mint_token, ray_program, start_head
from helixflow.cli.record import Stack
from helixflow.settings import Settings


def test_every_port_of_rays_is_given_and_none_is_a_default(stack: Stack) -> None:
    arguments = head_arguments(Settings(), stack, 4)
    ports = [word for word in arguments if "-port=" in word and "worker-port" not in word]
    assert len(ports) == 8
    assert all("=210" in word for word in ports)
    assert "--num-cpus=4" in arguments
    assert f"--temp-dir={stack.temp}/r" in arguments


def test_a_machine_with_one_core_can_still_schedule_the_platform(stack: Stack) -> None:
    assert "--num-cpus=2" in head_arguments(Settings(), stack, 1)


def test_the_token_is_long_random_and_for_its_owner_alone(stack: Stack) -> None:
    mint_token(stack)
    first = stack.token_file.read_text()
    mint_token(stack)
    assert len(first) == 64 != stack.token_file.read_text()
    assert stat.S_IMODE(stack.token_file.stat().st_mode) == 0o600


def test_ray_is_the_one_of_this_python() -> None:
    assert Path(ray_program()[0]).parent == Path(sys.executable).parent


def test_ray_gets_the_environment_and_nothing_else(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import os, sys; sys.exit(os.environ.get('A') != 'b')"]
    start_head(program, [], {"A": "b"}, tmp_path)


def test_the_last_words_of_a_ray_that_does_not_start_are_in_the_error(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "print('no room'); raise SystemExit(1)"]
    with pytest.raises(CommandFailed, match="no room"):
        start_head(program, [], {}, tmp_path)


def test_a_missing_ray_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="make install"):
        start_head([str(tmp_path / "ray")], [], {}, tmp_path)


def test_a_ray_that_takes_too_long_is_an_error(tmp_path: Path) -> None:
    code = "import time; print('stuck', flush=True); time.sleep(10)"
    program = [sys.executable, "-S", "-c", code]
    with pytest.raises(CommandFailed, match="did not start within"):
        start_head(program, [], {}, tmp_path, limit_s=0.3)
