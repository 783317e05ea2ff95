"""Which platform is administered, with which key, and how a no is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from helixflow.cli.target import find_admin_target
from tests.cli.fake_admin import ADMIN_KEY, Administration, Refusal

from .conftest import Run


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(403, "This credential does not have the permission project:read."), "403: This"),
        (Refusal(409, "It was changed meanwhile; read it again.", "If-Match"), "409: If-Match: It"),
        (Refusal(503, "The identity store is not available."), "available. Try again in 1 s."),
    ],
)
def test_a_refusal_is_told_in_the_platforms_words(
    run: Run, administration: Administration, refusal: Refusal, words: str
) -> None:
    administration.refuse = refusal
    refused = run("project", "list")
    assert refused.exit_code == 1
    assert words in refused.stderr
    assert refused.stdout == ""


def test_an_object_that_is_not_there_is_told(run: Run) -> None:
    assert "404: There is no such projects." in run("project", "show", "nothing").stderr


def test_without_an_admin_key_it_is_said_where_one_comes_from(run: Run, administered: Path) -> None:
    env = administered / "env"
    env.write_text(env.read_text().replace(ADMIN_KEY, ""))
    refused = run("project", "list")
    assert refused.exit_code == 1
    assert "HELIXFLOW_ADMIN_KEY" in refused.stderr


def test_without_a_platform_the_exit_code_says_so(bare: Run, tmp_path: Path) -> None:
    refused = bare("project", "list", "--home", tmp_path)
    assert refused.exit_code == 3
    assert "helixflow up" in refused.stderr


def test_the_homes_key_goes_to_the_homes_own_platform_alone(administered: Path) -> None:
    own = find_admin_target(administered, {})
    assert own.key == ADMIN_KEY
    assert find_admin_target(administered, {}, own.base_url + "/v1").key == ADMIN_KEY
    assert find_admin_target(administered, {}, "https://other.example").key == ""
    shell = {"HELIXFLOW_ADMIN_KEY": "theirs"}
    assert find_admin_target(administered, shell, "https://other.example").key == "theirs"


def test_an_answer_that_is_not_ours_is_told(run: Run, administration: Administration) -> None:
    administration.refuse = Refusal(200, "")
    administration.refuse.body = []  # type: ignore[assignment]
    assert "no JSON object" in run("project", "show", "x").stderr


def test_a_secret_that_is_missing_in_an_answer_is_told(
    run: Run, administration: Administration
) -> None:
    administration.refuse = Refusal(200, "")
    administration.refuse.body = {"id": "key_1"}
    assert "holds no secret" in run("key", "create", "x", "-p", "proj_1").stderr
