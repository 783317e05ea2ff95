from __future__ import annotations

from pathlib import Path

import pytest

from helixflow.cli.failure import NotRunning
from helixflow.cli.target import find_target, home_folder
from helixflow.cli.tree import effective_settings


def test_what_the_home_knows_wins_over_the_shell(known: Path) -> None:
    shell = {"HELIXFLOW_BASE_URL": "http://other"}
    shell["OPENAI_API_KEY"] = "other"  # pragma: allowlist secret
    target = find_target(known, shell)
    assert target.base_url.startswith("http://127.0.0.1:")
    assert target.key == "hx-test-key"
    assert target.api().accepts_key()


def test_an_option_wins_over_everything(known: Path) -> None:
    target = find_target(known, {}, "https://gateway.example/v1/", "k")
    assert (target.base_url, target.key) == ("https://gateway.example", "k")


def test_the_shell_is_asked_last(home: Path) -> None:
    target = find_target(home, {"HELIXFLOW_BASE_URL": "http://other:1", "OPENAI_API_KEY": "k"})
    assert (target.base_url, target.key) == ("http://other:1", "k")
    assert find_target(home, {}, "http://other:1").key == ""


def test_no_address_at_all_is_an_error_that_says_what_to_do(home: Path) -> None:
    with pytest.raises(NotRunning, match="helixflow up"):
        find_target(home, {})


def test_the_home_comes_from_the_option_the_shell_or_the_folder(tmp_path: Path) -> None:
    assert home_folder(tmp_path, {"HELIXFLOW__HOME": "/x"}) == tmp_path
    assert home_folder(None, {"HELIXFLOW__HOME": "/x"}) == Path("/x")
    assert home_folder(None, {}) == Path.cwd() / ".helixflow"


def test_options_win_over_the_configuration_and_folders_come_out_absolute(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("home: here\nhttp: {port: 1234, host: 127.0.0.2}\n")
    plain = effective_settings(file, None, None)
    assert plain.home == str(Path.cwd() / "here")
    assert plain.engine.models_dir == str(Path.cwd() / "here" / "models")
    chosen = effective_settings(file, tmp_path / "h", 99)
    assert (chosen.http.port, chosen.http.host) == (99, "127.0.0.2")
    assert chosen.home_path == tmp_path / "h"
