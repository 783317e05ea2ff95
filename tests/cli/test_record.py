from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helixflow.cli.failure import CommandFailed
from helixflow.cli.record import Stack, alone, digest, load_stack


def test_a_record_that_is_saved_and_loaded_is_the_same(stack: Stack, home: Path) -> None:
    kept = stack.with_deployed("d").with_processes(((1, 2.5),))
    kept.save()
    assert load_stack(home) == kept


def test_the_record_is_for_its_owner_alone(stack: Stack, home: Path) -> None:
    stack.save()
    assert (home / "stack.json").stat().st_mode & 0o777 == 0o600


def test_the_record_tells_programs_how_to_reach_ray(stack: Stack, home: Path) -> None:
    stack.save()
    raw = json.loads((home / "stack.json").read_text())
    assert raw["stack"] == "abc"
    assert raw["ray_address"] == "127.0.0.1:21000"
    assert raw["ray_environment"]["RAY_AUTH_TOKEN_PATH"] == str(stack.token_file)
    assert raw["ports"]["http"] == 8000


def test_a_home_without_a_stack_has_no_record(stack: Stack, home: Path) -> None:
    assert load_stack(home) is None
    stack.save()
    stack.forget()
    stack.forget()
    assert load_stack(home) is None


@pytest.mark.parametrize("text", ["{", '{"version": 99}'])
def test_a_record_that_cannot_be_read_is_an_error_that_names_it(home: Path, text: str) -> None:
    (home / "stack.json").write_text(text)
    with pytest.raises(CommandFailed, match=r"stack\.json"):
        load_stack(home)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"),
     ("::", "http://[::1]:8000"), ("10.0.0.1", "http://10.0.0.1:8000")],
)  # fmt: skip
def test_the_base_url_is_one_that_this_machine_can_open(stack: Stack, host: str, url: str) -> None:
    assert replace(stack, host=host).base_url == url


def test_of_two_commands_on_one_home_the_second_gives_way(tmp_path: Path) -> None:
    home = tmp_path / "made"
    with alone(home), pytest.raises(CommandFailed, match="another helixflow command"), alone(home):
        pass
    with alone(home):
        pass


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1})
