from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from helixflow.cli.main import app
from helixflow.storage.migrate import revisions

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = tmp_path / "c.yaml"
    config.write_text(f"home: {tmp_path / 'home'}\nstorage: {{call_s: 60}}\n")
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(
        app, ["db", *words, "--config", str(config)], **options
    )


def test_a_schema_goes_forward_and_back(run: Run) -> None:
    head, *_, first = revisions()
    assert "database is empty" in run("current").stdout
    assert f"at {head}" in run("upgrade").stdout
    assert json.loads(run("current", "--json").stdout) == {"current": head, "head": head}
    assert f"at {first}" in run("downgrade", first, "--yes").stdout
    assert f"the newest is {head}" in run("current").stdout
    assert f"at {head}" in run("upgrade", head).stdout
    assert "the newest" in run("current").stdout
    assert "database is empty" in run("downgrade", "base", "--yes").stdout


def test_a_schema_is_checked(run: Run, tmp_path: Path) -> None:
    behind = run("check")
    assert behind.exit_code == 1
    assert "helixflow db upgrade" in behind.stderr
    run("upgrade")
    assert "as it should be" in run("check").stdout
    with sqlite3.connect(tmp_path / "home" / "helixflow.db") as connection:
        connection.execute("CREATE TABLE stray (id INTEGER)")
    drifted = run("check", "--json")
    assert drifted.exit_code == 1
    assert "stray" in json.loads(drifted.stdout)["drift"][0]
    shown = run("check")
    assert "stray" in shown.stdout
    assert "not as it should be" in shown.stderr


def test_going_back_is_asked_about(run: Run) -> None:
    run("upgrade")
    assert run("downgrade", "base", input="n\n").exit_code == 1
    assert "(the newest)" in run("current").stdout


def test_an_unknown_revision_is_refused_with_those_that_are_known(run: Run) -> None:
    refused = run("upgrade", "v9")
    assert refused.exit_code == 2
    assert "head" in refused.stderr
    assert "base" in run("downgrade", "head").stderr


def test_a_database_that_is_away_is_told_in_words(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"home: {tmp_path}\nstorage: {{url: 'postgresql://nobody@127.0.0.1:9/none', call_s: 1}}\n"
    )
    away = CliRunner().invoke(app, ["db", "current", "--config", str(config)])
    assert away.exit_code == 1
    assert "not available" in away.stderr
