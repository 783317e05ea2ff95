from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.fake_admin import Administration
from tests.cli.fake_platform import Platform

from .conftest import Run


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


class TestSetting:
    @pytest.mark.parametrize(
        ("words", "body"),
        [
            ([], {"entity": "organization", "per": ["organization"]}),
            (["--per", "key"], {"entity": "organization", "per": ["key"]}),
            (
                ["--per", "key", "--project", "proj_1"],
                {"entity": "project", "entity_id": "proj_1", "per": ["key"]},
            ),
            (
                ["-p", "proj_1", "-m", "big"],
                {
                    "entity": "project",
                    "entity_id": "proj_1",
                    "per": ["model", "project"],
                    "model": "big",
                },
            ),
            (["-u", "user_1"], {"entity": "user", "entity_id": "user_1", "per": ["user"]}),
            (["-k", "key_1"], {"entity": "key", "entity_id": "key_1", "per": ["key"]}),
            (
                ["-m", "big", "--per", "key"],
                {"entity": "model", "entity_id": "big", "per": ["key", "model"], "model": "big"},
            ),
            (
                ["-m", "big", "--hard"],
                {
                    "entity": "model",
                    "entity_id": "big",
                    "per": ["model"],
                    "model": "big",
                    "hard": True,
                },
            ),
        ],
        ids=str,
    )
    def test_a_limit_is_about_what_is_named(
        self, run: Run, administration: Administration, words: list[str], body: dict[str, object]
    ) -> None:
        set_ = run("limits", "set", "tokens_per_minute", "100", *words)
        assert set_.exit_code == 0, set_.output
        name = {"name": "tokens_per_minute", "amount": 100}
        assert administration.seen[-1] == ("POST", "/v1/organization/limits", {**body, **name})
        assert "tokens_per_minute" in set_.stdout

    def test_one_that_is_there_already_is_changed(
        self, run: Run, administration: Administration
    ) -> None:
        about = {"entity": "project", "entity_id": "proj_1", "name": "spend_per_day"}
        administration.add("limits", **about, per=["project"], model=None, amount=1, hard=False)
        administration.add("limits", **about, per=["key", "model"], model="m", amount=1)
        words = ("limits", "set", "spend_per_day", "2.5", "-p", "proj_1")
        assert run(*words).exit_code == 0
        changed = ("POST", "/v1/organization/limits/lim_1", {"amount": 2.5})
        assert administration.seen[-1] == changed
        assert run(*words, "-m", "m", "--per", "key", "--soft").exit_code == 0
        body = {"amount": 2.5, "hard": False}
        assert administration.seen[-1] == ("POST", "/v1/organization/limits/lim_2", body)
        assert run(*words, "-m", "other").exit_code == 0
        assert administration.seen[-1][1] == "/v1/organization/limits"

    def test_it_is_about_one_thing(self, run: Run) -> None:
        refused = run("limits", "set", "tokens_per_day", "1", "-p", "proj_1", "-k", "key_1")
        assert refused.exit_code == 1
        assert "one of --project, --user and --key" in refused.stderr


class TestLooking:
    def test_limits_are_listed_with_what_they_are_about(
        self, run: Run, administration: Administration
    ) -> None:
        spend = {"name": "spend_per_day", "amount": 12.5, "per": ["key", "model"], "hard": True}
        administration.add("limits", entity="project", entity_id="proj_1", model="m", **spend)
        rate = {"name": "requests_per_day", "amount": 1e6, "per": ["model"], "hard": False}
        administration.add("limits", entity="model", entity_id="m", model="m", **rate)
        listed = rows(run("limits", "list").stdout)
        assert ["lim_1", "spend_per_day", "12.5", "USD", "key,", "model", "project", "proj_1,",
                "model", "m", "yes"] in listed  # fmt: skip
        assert ["lim_2", "requests_per_day", "1000000", "model", "model", "m", "no"] in listed
        some = json.loads(run("limits", "list", "-m", "m", "--json").stdout)
        assert [one["id"] for one in some["data"]] == ["lim_2"]

    def test_a_limit_is_removed_after_a_question(
        self, run: Run, administration: Administration
    ) -> None:
        administration.add("limits", entity="organization")
        assert run("limits", "delete", "lim_1", input="n\n").exit_code == 1
        assert "is removed" in run("limits", "delete", "lim_1", "-y").stdout

    def test_a_key_sees_what_it_has_left(self, bare: Run, known: Path, platform: Platform) -> None:
        assert "no limits" in bare("limits", "show", "--home", known).stdout
        platform.limits = [
            {"name": "spend_per_month", "scope": "organization", "limit": 10.0,
             "remaining": 0.25, "reset_seconds": 86_400.0},
            {"name": "tokens_per_day", "scope": "key=key_1", "limit": 5, "remaining": None,
             "reset_seconds": None},
        ]  # fmt: skip
        shown = rows(bare("limits", "show", "--home", known).stdout)
        assert [
            "spend_per_month",
            "organization",
            "0.25",
            "USD",
            "10",
            "USD",
            "86400",
            "s",
        ] in shown
        assert ["tokens_per_day", "key=key_1", "-", "5", "-"] in shown
        told = json.loads(bare("limits", "show", "--home", known, "--json").stdout)
        assert told["data"] == platform.limits
        refused = bare("limits", "show", "--home", known, "--api-key", "wrong")
        assert "no such key" in refused.stderr


class TestOrganization:
    def test_it_is_shown_with_what_its_tier_gives(self, run: Run) -> None:
        shown = rows(run("org", "show").stdout)
        assert ["tier", "tin"] in shown
        assert ["spend_per_day", "2.5", "USD", "organization", "-", "no"] in shown
        assert json.loads(run("org", "show", "--json").stdout)["tier_limits"]

    def test_what_is_given_is_changed_and_nothing_else(
        self, run: Run, administration: Administration
    ) -> None:
        words = ("--name", "Acme", "--tier", "gold", "--weight", "2", "--class", "batch")
        assert run("org", "update", *words).exit_code == 0
        body = {"name": "Acme", "tier": "gold", "weight": 2.0, "service_class": "batch"}
        assert administration.seen[-1] == ("POST", "/v1/organization", body)
        administration.organization["tier_limits"] = []
        assert run("org", "update", "--default-tier", "--default-share").exit_code == 0
        assert administration.seen[-1][2] == {"tier": None, "weight": None, "service_class": None}
        assert "--name" in run("org", "update").stderr
