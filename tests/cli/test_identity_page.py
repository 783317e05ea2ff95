"""What docs/identity.md shows works, and its table of roles is what the roles give."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from helixflow.cli.main import app
from helixflow.identity.permissions import ROLE_PERMISSIONS, Permission, Role

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_pages_policies_pass_the_pages_cases(tmp_path: Path) -> None:
    (tmp_path / "confidential.cedar").write_text(block("cedar"))
    cases = tmp_path / "confidential.yaml"
    cases.write_text(block("yaml"))
    tried = CliRunner().invoke(app, ["policy", "test", str(cases)])
    assert tried.exit_code == 0, tried.output


@pytest.mark.parametrize("role", Role)
def test_the_pages_table_is_what_the_role_gives(role: Role) -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| `")]
    header = next(line for line in PAGE.splitlines() if "| owner |" in line)
    column = [cell.strip() for cell in header.split("|")[1:-1]].index(role)
    told = {row[0]: row[column].strip() for row in rows if len(row) > 5}
    granted = {name for cell, mark in told.items() if mark for name in re.findall("`(.+?)`", cell)}
    assert granted == ROLE_PERMISSIONS[role]
    assert {name for cell in told for name in re.findall("`(.+?)`", cell)} == set(Permission)


def test_every_command_that_the_page_and_the_front_page_name_exists() -> None:
    front = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    limits = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    nouns = "org|project|user|key|policy|limits|token|db"
    pages = PAGE + front + limits
    named = set(re.findall(rf"helixflow ((?:{nouns})(?: [a-z][a-z-]+)+)", pages))
    assert len(named) > 10
    commands = get_command(app)
    for name in named:
        command: Any = commands
        for word in name.split():
            if not hasattr(command, "commands"):
                break  # an argument
            command = command.commands[word]
        assert not hasattr(command, "commands"), name
