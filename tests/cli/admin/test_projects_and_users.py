from __future__ import annotations

import json

import pytest

from tests.cli.fake_admin import Administration

from .conftest import Run


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (("project", "create", "Research"), "POST", "projects", {"name": "Research"}),
        (("project", "rename", "proj_1", "Lab"), "POST", "projects/proj_1", {"name": "Lab"}),
        (("project", "show", "proj_1"), "GET", "projects/proj_1", None),
        (("project", "archive", "proj_1", "--yes"), "POST", "projects/proj_1/archive", {}),
        (
            ("project", "member", "add", "proj_1", "user_9", "--role", "viewer"),
            "POST",
            "projects/proj_1/users",
            {"user_id": "user_9", "role": "viewer"},
        ),
        (
            ("project", "member", "update", "proj_1", "user_3", "--role", "admin"),
            "POST",
            "projects/proj_1/users/user_3",
            {"role": "admin"},
        ),
        (
            ("project", "member", "remove", "proj_1", "user_3"),
            "DELETE",
            "projects/proj_1/users/user_3",
            None,
        ),
        (
            ("project", "service-account", "show", "proj_1", "svc_4"),
            "GET",
            "projects/proj_1/service_accounts/svc_4",
            None,
        ),
        (
            ("project", "service-account", "disable", "proj_1", "svc_4"),
            "DELETE",
            "projects/proj_1/service_accounts/svc_4",
            None,
        ),
        (
            ("project", "content", "keep", "proj_1", "--days", "7"),
            "POST",
            "projects/proj_1",
            {"content_retention_days": 7},
        ),
        (
            ("project", "content", "off", "proj_1"),
            "POST",
            "projects/proj_1",
            {"content_retention_days": None},
        ),
        (
            ("project", "content", "off", "proj_1", "--erase", "--yes"),
            "DELETE",
            "projects/proj_1/content",
            None,
        ),
        (
            ("project", "content", "erase", "proj_1", "--yes"),
            "DELETE",
            "projects/proj_1/content",
            None,
        ),
        (
            ("project", "content", "delete", "proj_1", "req_8"),
            "DELETE",
            "projects/proj_1/content/req_8",
            None,
        ),
        (("user", "show", "user_2"), "GET", "users/user_2", None),
        (
            ("user", "update", "user_2", "--role", "owner"),
            "POST",
            "users/user_2",
            {"role": "owner"},
        ),
        (("user", "disable", "user_2"), "DELETE", "users/user_2", None),
        (
            ("user", "create", "a@b.example", "--role", "auditor"),
            "POST",
            "users",
            {"email": "a@b.example", "role": "auditor"},
        ),
        (
            ("user", "invite", "create", "c@d.example", "--name", "Cy"),
            "POST",
            "invites",
            {"email": "c@d.example", "role": "developer", "name": "Cy"},
        ),
        (("user", "invite", "show", "invite_5"), "GET", "invites/invite_5", None),
        (("user", "invite", "delete", "invite_5"), "DELETE", "invites/invite_5", None),
        (("org", "signing-key", "rotate"), "POST", "signing_keys/rotate", {}),
        (
            ("org", "signing-key", "revoke", "kid_6", "-y"),
            "POST",
            "signing_keys/kid_6/revoke",
            {},
        ),
    ],
)
def test_each_command_asks_its_route(
    run: Run,
    administration: Administration,
    words: tuple[str, ...],
    method: str,
    path: str,
    body: object,
) -> None:
    fill(administration)
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()
    assert administration.seen[-1] == (method, f"/v1/organization/{path}", body)


KEPT = {
    "request": {"text": "ask\x1b[2Jed", "bytes": 8, "truncated": False},
    "answer": {"text": "tol", "bytes": 4, "truncated": True},
}


def test_kept_content_is_shown_without_what_would_steer_the_terminal(
    run: Run, administration: Administration
) -> None:
    fill(administration)
    shown = run("project", "content", "show", "proj_1", "req_8")
    assert "request:\nask\ufffd[2Jed\n" in shown.stdout
    assert "answer (cut; the whole had 4 bytes):\ntol\n" in shown.stdout
    told = json.loads(run("project", "content", "show", "proj_1", "req_8", "--json").stdout)
    assert (told["request"], told["answer"]) == (KEPT["request"], KEPT["answer"])


def test_erasing_is_asked_about(run: Run, administration: Administration) -> None:
    fill(administration)
    for words in (("off", "proj_1", "--erase"), ("erase", "proj_1")):
        assert run("project", "content", *words, input="n\n").exit_code == 1
    assert administration.seen == []


def fill(administration: Administration) -> None:
    administration.add("projects", name="Default")
    administration.add("users", email="o@x.example", role="owner", name="Olga")
    administration.add("projects/proj_1/users", email="p@x.example", role="viewer")
    administration.add("projects/proj_1/service_accounts", name="robot")
    administration.add("invites", email="i@x.example", role="viewer", status="pending")
    administration.add("signing_keys", signs_from=0, signs_until=9, verifies_until=9)
    administration.add("roles", permissions=["model:invoke", "model:list"])
    administration.add("projects/proj_1/content", model="echo-1", **KEPT)


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (("project", "list"), "Default"),
        (("project", "member", "list", "proj_1"), "p@x.example"),
        (("project", "service-account", "list", "proj_1"), "robot"),
        (("project", "content", "list", "proj_1"), "echo-1"),
        (("user", "list"), "Olga"),
        (("user", "invite", "list"), "pending"),
        (("org", "roles"), "model:invoke, model:list"),
        (("org", "signing-key", "list"), "kid_6"),
    ],
)
def test_each_list_is_a_table_or_json(
    run: Run, administration: Administration, words: tuple[str, ...], seen: str
) -> None:
    fill(administration)
    assert seen in run(*words).stdout
    listed = json.loads(run(*words, "--json").stdout)
    assert (listed["object"], len(listed["data"])) == ("list", 1)


def test_a_long_list_is_read_page_by_page_up_to_the_limit(
    run: Run, administration: Administration
) -> None:
    for number in range(230):
        administration.add("projects", name=f"n{number}")
    shown = run("project", "list", "--limit", "150", "--json")
    listed = json.loads(shown.stdout)
    assert (len(listed["data"]), listed["last_id"], listed["has_more"]) == (150, "proj_150", True)
    assert len(administration.seen) == 2
    rest = run("project", "list", "--after", "proj_150")
    assert rest.stdout.count("proj_") == 80
    assert not rest.stderr
    assert "--after proj_100" in run("project", "list").stderr


def test_a_new_service_account_shows_its_key_once(run: Run) -> None:
    made = run("project", "service-account", "create", "proj_1", "robot")
    assert "hx-proj-secret" in made.stdout.splitlines()
    assert "shown once" in made.stderr


def test_a_password_comes_from_standard_input_and_is_not_shown(
    run: Run, administration: Administration
) -> None:
    words = ("user", "create", "a@b.example", "--role", "viewer", "--password")
    made = run(*words, input="correct horse\n")
    assert administration.seen[-1][2]["password"] == "correct horse"
    assert "correct horse" not in made.output
    assert run("user", "update", "user_1", "--password", input="new\n").exit_code == 0
    assert administration.seen[-1][2] == {"password": "new"}
    assert "--role" in run("user", "update", "user_1").stderr
    assert "holds no password" in run(*words, input="").stderr


def test_what_cannot_be_taken_back_is_asked_about(run: Run, administration: Administration) -> None:
    administration.add("projects", name="Default")
    refused = run("project", "archive", "proj_1", input="n\n")
    assert refused.exit_code == 1
    assert administration.seen == []
    assert run("project", "archive", "proj_1", input="y\n").exit_code == 0


def test_an_id_cannot_lead_to_another_route(run: Run, administration: Administration) -> None:
    run("project", "show", "../users?x")
    assert administration.seen[-1][1] == "/v1/organization/projects/..%2Fusers%3Fx"


def test_square_brackets_in_names_are_shown_as_they_are(
    run: Run, administration: Administration
) -> None:
    administration.add("projects", name="[red]alarm[/]")
    assert "[red]alarm[/]" in run("project", "list").stdout


def test_an_invitation_is_shown_once_and_accepted_with_a_password(
    run: Run, administration: Administration
) -> None:
    assert "hx-inv-secret" in run("user", "invite", "create", "a@b.example").stdout.splitlines()
    accepted = run("user", "invite", "accept", input="hx-inv-secret\ncorrect horse\n")
    assert "a@b.example" in accepted.stdout
    body = {"invitation": "hx-inv-secret", "password": "correct horse"}
    assert administration.seen[-1] == ("POST", "/v1/auth/accept", body)
    assert "authorization" not in administration.headers[-1]
