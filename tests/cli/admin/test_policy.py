from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.fake_admin import NOW, Administration

from .conftest import Run

FORBID = """
forbid (principal, action == Action::"model:invoke", resource)
when { principal.project == "proj_interns" && resource.name == "big" };
"""
CASES = """
policies: [interns.cedar]
cases:
  - {name: interns stay away, project: proj_interns, action: "model:invoke", model: big, expect: deny}
  - {name: all others may, action: "model:invoke", model: big, expect: EXPECTED}
"""


@pytest.fixture
def interns(tmp_path: Path) -> Path:
    file = tmp_path / "interns.cedar"
    file.write_text(FORBID)
    return file


@pytest.fixture
def cases(interns: Path) -> Path:
    file = interns.with_name("cases.yaml")
    file.write_text(CASES.replace("EXPECTED", "allow"))
    return file


def test_cases_are_tried_without_a_platform(bare: Run, cases: Path) -> None:
    tried = bare("policy", "test", cases)
    assert tried.exit_code == 0, tried.output
    rows = [line.split() for line in tried.stdout.splitlines()]
    assert ["passed", "interns", "stay", "away", "deny", "deny", "interns.cedar"] in rows
    assert ["passed", "all", "others", "may", "allow", "allow", "roles"] in rows


def test_a_case_that_fails_is_named_and_is_the_exit_code(bare: Run, cases: Path) -> None:
    cases.write_text(CASES.replace("EXPECTED", "deny"))
    tried = bare("policy", "test", cases)
    assert tried.exit_code == 1
    assert "FAILED" in tried.stdout
    assert "1 of 2 cases failed" in tried.stderr
    raw = json.loads(bare("policy", "test", cases, "--json").stdout)
    assert [case["passed"] for case in raw] == [True, False]


def test_a_plain_list_of_cases_takes_its_policies_from_the_options(
    bare: Run, interns: Path, tmp_path: Path
) -> None:
    file = tmp_path / "list.yaml"
    file.write_text('[{name: x, action: "model:invoke", model: big, expect: allow}]')
    assert bare("policy", "test", file, "--policy", interns).exit_code == 0
    refused = bare("policy", "test", file)
    assert refused.exit_code == 2
    assert "name the policies" in refused.stderr


def test_an_evaluation_that_fails_denies_and_is_told(bare: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.cedar").write_text(
        "forbid (principal, action, resource) when { context.time.epoch * 9223372036854775807 < 0 };"
    )
    file = tmp_path / "cases.yaml"
    file.write_text(
        "{policies: [broken.cedar], cases: [{name: x, action: 'key:read', object: k, expect: deny}]}"
    )
    tried = bare("policy", "test", file)
    assert tried.exit_code == 0, tried.output
    assert "overflow" in tried.stdout


def test_a_set_that_permits_nothing_of_the_kind_says_so(bare: Run, tmp_path: Path) -> None:
    (tmp_path / "p.cedar").write_text('permit (principal, action == Action::"key:read", resource);')
    file = tmp_path / "cases.yaml"
    file.write_text(
        "{policies: [p.cedar], cases: [{name: x, action: 'key:update', object: k, expect: deny}]}"
    )
    assert "nothing permits it" in bare("policy", "test", file).stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cases: [", "not valid YAML"),
        ("{polices: [], cases: []}", "unknown key 'polices'"),
        ("{policies: x, cases: []}", "a list of files"),
        ("{policies: [interns.cedar], cases: []}", "no case"),
        ("{policies: [interns.cedar]}", "array"),
    ],
)
def test_a_file_of_cases_that_cannot_be_used_says_why(
    bare: Run, interns: Path, text: str, words: str
) -> None:
    file = interns.with_name("cases.yaml")
    file.write_text(text)
    refused = bare("policy", "test", file)
    assert refused.exit_code == 2, refused.output
    assert words in refused.stderr


def test_files_that_are_not_there_are_named(bare: Run, tmp_path: Path) -> None:
    assert "No such file" in bare("policy", "test", tmp_path / "none.yaml").stderr
    assert "No such file" in bare("policy", "validate", tmp_path / "none.cedar").stderr


def test_a_policy_is_validated_as_the_platform_would(
    bare: Run, interns: Path, tmp_path: Path
) -> None:
    assert "can be saved" in bare("policy", "validate", interns).stdout
    wrong = tmp_path / "wrong.cedar"
    wrong.write_text("permit (principal, action, resource) when { resource.colour == 1 };")
    refused = bare("policy", "validate", wrong)
    assert refused.exit_code == 1
    assert "colour" in refused.stderr
    raw = json.loads(bare("policy", "validate", wrong, "--json").stdout)
    assert not raw["valid"]
    wrong.write_bytes(b"\xff")
    assert "not UTF-8" in bare("policy", "validate", wrong).stderr


def test_a_policy_is_put_in_force_from_a_file(
    run: Run, administration: Administration, interns: Path
) -> None:
    assert run("policy", "create", "interns", interns, "-p", "proj_1").exit_code == 0
    body = administration.seen[-1][2]
    assert body == {"name": "interns", "source": FORBID, "project_id": "proj_1"}
    assert "proj_interns" in run("policy", "show", "pol_1").stdout
    assert "interns" in run("policy", "list").stdout
    assert run("policy", "create", "interns", interns).exit_code == 0
    assert "project_id" not in administration.seen[-1][2]


def test_an_update_names_what_changes_and_nothing_else(
    run: Run, administration: Administration, interns: Path
) -> None:
    administration.add("policies", name="a", source="old", enabled=True)
    assert run("policy", "update", "pol_1", "--disable").exit_code == 0
    assert administration.seen[-1][2] == {"enabled": False}
    assert run("policy", "update", "pol_1", "--name", "b", "--file", interns).exit_code == 0
    assert administration.seen[-1][2] == {"name": "b", "source": FORBID}
    assert "--enable" in run("policy", "update", "pol_1").stderr


def test_a_policy_is_removed_after_a_question(run: Run, administration: Administration) -> None:
    administration.add("policies", name="a", source="old", enabled=True)
    assert run("policy", "delete", "pol_1", input="n\n").exit_code == 1
    assert "is removed" in run("policy", "delete", "pol_1", "--yes").stdout


def test_a_decision_is_explained_by_the_platform(run: Run, administration: Administration) -> None:
    words = ("policy", "explain", "model:invoke", "--model", "big", "-p", "proj_1")
    more = ("--claim", "team=x", "--attribute", "region=eu", "--at", "2027-01-15T08:00")
    assert "pol_1" in run(*words, *more).stdout
    assert administration.seen[-1][2] == {
        "action": "model:invoke",
        "model": "big",
        "project_id": "proj_1",
        "attributes": {"region": "eu"},
        "claims": ["team=x"],
        "at": NOW,
    }
    assert "region=eu" in run(*words, "--attribute", "eu").stderr
