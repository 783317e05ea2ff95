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
from helixflow.storage.schema import CONTENT, IDENTITY, PERSONS, TELEMETRY

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = tmp_path / "c.yaml"
    config.write_text(f"home: {tmp_path / 'home'}\nstorage: {{call_s: 60}}\n")
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(
        app, ["db", *words, "--config", str(config)], **options
    )


def test_all_schemas_go_forward_and_one_back(run: Run) -> None:
    head, *_, first = revisions(IDENTITY)
    newest, keys, kept = (revisions(schema)[0] for schema in (TELEMETRY, PERSONS, CONTENT))
    assert run("current").stdout.count("database is empty") == 4
    assert run("upgrade").stdout.splitlines() == [
        f"identity: the schema is at {head}",
        f"telemetry: the schema is at {newest}",
        f"persons: the schema is at {keys}",
        f"content: the schema is at {kept}",
    ]
    assert json.loads(run("current", "--json").stdout) == {
        "identity": {"current": head, "head": head},
        "telemetry": {"current": newest, "head": newest},
        "persons": {"current": keys, "head": keys},
        "content": {"current": kept, "head": kept},
    }
    back = run("downgrade", first, "--database", "identity", "--yes")
    assert back.stdout == f"identity: the schema is at {first}\n"
    assert f"identity: {first} (the newest is {head})" in run("current").stdout
    assert f"at {head}" in run("upgrade", head, "-d", "identity").stdout
    assert "database is empty" in run("downgrade", "base", "-d", "telemetry", "--yes").stdout
    assert run("current").stdout.splitlines() == [
        f"identity: {head} (the newest)",
        f"telemetry: base: the database is empty (the newest is {newest})",
        f"persons: {keys} (the newest)",
        f"content: {kept} (the newest)",
    ]


def test_schemas_are_checked(run: Run, tmp_path: Path) -> None:
    behind = run("check")
    assert behind.exit_code == 1
    assert behind.stderr.count("helixflow db upgrade") == 4
    run("upgrade")
    assert (tmp_path / "home" / "telemetry-persons.db").exists()
    assert run("check").stdout.count("as it should be") == 4
    with sqlite3.connect(tmp_path / "home" / "telemetry.db") as connection:
        connection.execute("CREATE TABLE stray (id INTEGER)")
    drifted = run("check", "--json")
    assert drifted.exit_code == 1
    told = json.loads(drifted.stdout)
    assert told["identity"]["ok"]
    assert "stray" in told["telemetry"]["drift"][0]
    shown = run("check")
    assert "telemetry: " in shown.stdout
    assert "stray" in shown.stdout
    assert "telemetry: the schema is not as it should be" in shown.stderr
    assert run("check", "-d", "identity").exit_code == 0


def test_going_back_is_asked_about_and_names_its_database(run: Run) -> None:
    run("upgrade")
    assert run("downgrade", "base", "-d", "identity", input="n\n").exit_code == 1
    assert run("current").stdout.count("(the newest)") == 4
    unnamed = run("downgrade", "base", "--yes")
    assert unnamed.exit_code == 2
    assert "--database persons" in unnamed.stderr


def test_an_unknown_revision_is_refused_with_those_that_are_known(run: Run) -> None:
    refused = run("upgrade", "v9", "-d", "telemetry")
    assert refused.exit_code == 2
    assert "head" in refused.stderr
    assert "base" in run("downgrade", "head", "-d", "identity").stderr
    assert "--database" in run("upgrade", "0001").stderr


def test_a_database_that_is_away_is_told_in_words(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"home: {tmp_path}\nstorage: {{url: 'postgresql://nobody@127.0.0.1:9/none', call_s: 1}}\n"
    )
    away = CliRunner().invoke(app, ["db", "current", "--config", str(config)])
    assert away.exit_code == 1
    assert "not available" in away.stderr
