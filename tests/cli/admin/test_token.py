from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.fake_admin import ADMIN_KEY, Administration, Refusal

from .conftest import Run


@pytest.mark.parametrize(
    ("words", "secret", "body"),
    [
        (
            ("--client-id", "svc_1"),
            "hx-svc-x",
            {"grant_type": "client_credentials", "client_id": "svc_1", "client_secret": "hx-svc-x"},
        ),
        (
            ("--email", "a@b.example", "-p", "proj_1"),
            "pass word",
            {
                "grant_type": "password",
                "username": "a@b.example",
                "password": "pass word",
                "project": "proj_1",
            },
        ),
        (("--email", "a@b.example"), "pw", {"grant_type": "password", "username": "a@b.example",
                                            "password": "pw"}),
        (("--refresh",), "hx-rt-0", {"grant_type": "refresh_token", "refresh_token": "hx-rt-0"}),
    ],
)  # fmt: skip
def test_a_token_is_granted_for_a_secret_from_standard_input(
    run: Run, administration: Administration, words: tuple[str, ...], secret: str, body: object
) -> None:
    granted = run("token", "grant", *words, input=secret + "\n")
    assert granted.exit_code == 0, granted.output
    assert granted.stdout == "ey.a.b\n"
    assert "valid for 900 s" in granted.stderr
    assert ("hx-rt-1" in granted.stderr) == ("svc_1" not in words)
    assert administration.seen[-1] == ("POST", "/v1/auth/token", body)


def test_scopes_narrow_a_token_and_programs_get_the_whole_answer(
    run: Run, administration: Administration
) -> None:
    words = ("--client-id", "k", "--scope", "model:list", "--scope", "model:read", "--json")
    granted = run("token", "grant", *words, input="s\n")
    assert json.loads(granted.stdout)["token_type"] == "Bearer"
    assert administration.seen[-1][2]["scope"] == "model:list model:read"


def test_one_kind_of_grant_must_be_named(run: Run) -> None:
    assert "--client-id" in run("token", "grant").stderr
    assert "one of" in run("token", "grant", "--refresh", "--email", "x").stderr


def test_a_token_is_revoked_and_the_keys_are_shown_without_an_admin_key(
    run: Run, administration: Administration, administered: Path
) -> None:
    env = administered / "env"
    env.write_text(env.read_text().replace(ADMIN_KEY, ""))
    assert "within a second" in run("token", "revoke", input="ey.a.b\n").stdout
    assert administration.seen[-1] == ("POST", "/v1/auth/revoke", {"token": "ey.a.b"})
    assert json.loads(run("token", "keys").stdout)["keys"][0]["kid"] == "k1"
    assert "authorization" not in administration.headers[-1]


def test_a_grant_that_is_refused_is_told_in_oauths_words(
    run: Run, administration: Administration
) -> None:
    administration.refuse = Refusal(400, "")
    administration.refuse.body = {"error": "invalid_grant", "error_description": "No."}
    refused = run("token", "grant", "--refresh", input="hx-rt-0\n")
    assert refused.exit_code == 1
    assert "400: invalid_grant: No." in refused.stderr
