from __future__ import annotations

import json

import pytest

from helixflow.cli.admin.key import duration_s, end_of, state
from helixflow.cli.failure import CommandFailed
from tests.cli.fake_admin import NOW, Administration

from .conftest import Run

SECRET = "hx-proj-secret"  # pragma: allowlist secret


def test_a_key_is_shown_once_on_a_line_of_its_own_with_a_warning(
    run: Run, administration: Administration
) -> None:
    made = run("key", "create", "ci", "-p", "proj_1", "--model", "small", "--cidr", "10.0.0.0/8")
    assert made.exit_code == 0, made.output
    assert SECRET in made.stdout.splitlines()
    assert "shown once" in made.stderr
    assert SECRET not in made.stderr
    method, path, body = administration.seen[-1]
    assert (method, path) == ("POST", "/v1/organization/projects/proj_1/api_keys")
    assert body == {"name": "ci", "allowed_models": ["small"], "allowed_cidrs": ["10.0.0.0/8"]}


def test_programs_get_the_whole_answer_with_the_key(run: Run) -> None:
    made = run("key", "create", "ci", "-p", "proj_1", "--json")
    assert json.loads(made.stdout)["value"] == SECRET
    assert "shown once" in made.stderr


def test_a_key_is_listed_with_its_state_and_never_broken(
    run: Run, administration: Administration
) -> None:
    where = "projects/proj_1/api_keys"
    administration.add(
        where, name="old", redacted_value="hx-proj-ab...yz", revoked_at=NOW, last_used_at=NOW
    )
    administration.add(where, name="live", redacted_value="hx-proj-cd...wx", expires_at=None)
    shown = run("key", "list", "-p", "proj_1").stdout
    assert "never" in shown
    assert "2027-01-15" in shown
    rows = [line.split() for line in shown.splitlines()]
    assert any(row[:4] == ["key_1", "old", "hx-proj-ab...yz", "revoked"] for row in rows)
    assert any(row[:4] == ["key_2", "live", "hx-proj-cd...wx", "active"] for row in rows)


def test_the_only_open_project_is_meant_when_none_is_named(
    run: Run, administration: Administration
) -> None:
    administration.add("projects", name="gone", archived_at=NOW)
    administration.add("projects", name="Default", archived_at=None)
    assert run("key", "create", "ci").exit_code == 0
    assert administration.seen[-1][1] == "/v1/organization/projects/proj_2/api_keys"


def test_several_projects_are_named_instead_of_guessed(
    run: Run, administration: Administration
) -> None:
    administration.add("projects", name="one")
    administration.add("projects", name="two")
    refused = run("key", "list")
    assert refused.exit_code == 1
    assert "--project: proj_1 (one), proj_2 (two)" in refused.stderr


def test_without_any_project_that_is_said(run: Run) -> None:
    assert "there is none" in run("key", "list").stderr


def test_an_admin_key_belongs_to_no_project(run: Run, administration: Administration) -> None:
    assert run("key", "create", "root", "--admin").exit_code == 0
    assert administration.seen[-1][1] == "/v1/organization/admin_api_keys"
    refused = run("key", "create", "root", "--admin", "-p", "proj_1")
    assert "belongs to no project" in refused.stderr


def test_an_update_names_what_changes_and_nothing_else(
    run: Run, administration: Administration
) -> None:
    where = "projects/proj_1/api_keys"
    administration.add(where, name="ci", allowed_models=["a"], expires_at=NOW + 9)
    changed = run("key", "update", "key_1", "-p", "proj_1", "--name", "cd", "--expires", "never")
    assert changed.exit_code == 0, changed.output
    assert administration.seen[-1][2] == {"name": "cd", "expires_at": None}
    words = ("key", "update", "key_1", "-p", "proj_1", "--all-models", "--all-networks")
    assert run(*words).exit_code == 0
    assert administration.seen[-1][2] == {"allowed_models": None, "allowed_cidrs": None}


def test_a_service_account_gets_another_key(run: Run, administration: Administration) -> None:
    words = ("key", "create", "ci", "-p", "proj_1", "--service-account", "svc_1")
    assert run(*words).exit_code == 0
    assert administration.seen[-1][2] == {"name": "ci", "service_account_id": "svc_1"}


def test_an_update_of_nothing_says_what_could_be_changed(run: Run) -> None:
    assert "--expires" in run("key", "update", "key_1", "-p", "proj_1").stderr


@pytest.mark.parametrize(("overlap", "seconds"), [("0", 0), ("15m", 900)])
def test_rotating_gives_another_key_and_an_overlap(
    run: Run, administration: Administration, overlap: str, seconds: int
) -> None:
    administration.add("projects/proj_1/api_keys", name="ci")
    rotated = run("key", "rotate", "key_1", "-p", "proj_1", "--overlap", overlap)
    assert SECRET in rotated.stdout
    assert administration.seen[-1][2] == {"overlap_s": seconds}


def test_a_key_is_shown_and_revoked(run: Run, administration: Administration) -> None:
    administration.add("projects/proj_1/api_keys", name="ci", allowed_models=["a", "b"])
    assert "a, b" in run("key", "show", "key_1", "-p", "proj_1").stdout
    revoked = run("key", "revoke", "key_1", "-p", "proj_1")
    assert "refused everywhere within a second" in revoked.stdout
    assert administration.seen[-1][0] == "DELETE"


def test_an_end_is_a_length_of_time_or_a_date_or_never() -> None:
    assert end_of("90d", 10.0) == 10.0 + 90 * 86_400
    assert end_of("2027-01-15T08:00:00", 0.0) == NOW
    assert end_of("2027-01-15T10:00:00+02:00", 0.0) == NOW
    assert end_of("never", 0.0) is None
    assert duration_s("45s") == 45.0


@pytest.mark.parametrize("text", ["soon", "5", "5w", "-1d", ""])
def test_what_is_no_end_is_refused_with_examples(text: str) -> None:
    with pytest.raises(CommandFailed, match="90d"):
        end_of(text, 0.0)
    with pytest.raises(CommandFailed, match="90d"):
        duration_s(text)


def test_a_keys_state_follows_the_clock() -> None:
    assert state({"expires_at": 5}, now=5) == "expired"
    assert state({"expires_at": 6}, now=5) == "active"
    assert state({"expires_at": 1}) == "expired"
