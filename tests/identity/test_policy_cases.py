from __future__ import annotations

from typing import Any

import pytest
import yaml

from helixflow.errors import ConfigError
from helixflow.identity.policy_cases import read_cases, run_cases

POLICIES = {
    "pol_interns": (
        "forbid (principal, action, resource is Model)"
        ' when { principal.project == "proj_interns" && resource.name == "big" };'
    ),
    "pol_night": (
        "forbid (principal, action, resource)"
        ' when { context.time.hour < 6 || context.claims.contains("team=red") };'
    ),
}

CASES = """
- {name: interns are kept from the big model, project: proj_interns, action: "model:invoke",
   model: big, expect: deny}
- {name: others are not, action: "model:invoke", model: big, attributes: {region: eu}, expect: allow}
- {name: at night nothing goes, action: "key:create", object: key_1,
   at: 2026-03-02T03:00:00Z, expect: deny}
- {name: the red team rests, action: "key:create", object: key_1, claims: [team=red],
   source: 10.0.0.1, expect: allow}
"""


def test_cases_are_run_and_explained() -> None:
    outcomes = run_cases(POLICIES, read_cases(yaml.safe_load(CASES), "cases.yaml"))
    assert [outcome.passed for outcome in outcomes] == [True, True, True, False]
    assert [outcome.judgement.because for outcome in outcomes] == [
        ("pol_interns",),
        ("roles",),
        ("pol_night",),
        ("pol_night",),
    ]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"expect": "maybe"}, "maybe"),
        ({"colour": "red"}, "colour"),
        ({"action": "model:fly"}, "no permission"),
        ({"object": "also"}, "one of them"),
        ({"model": None}, "one of them"),
        ({"action": "key:create"}, "about models"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused(change: dict[str, Any], complaint: str) -> None:
    case = {"name": "n", "action": "model:invoke", "model": "m", "expect": "deny"}
    with pytest.raises(ConfigError, match=complaint):
        read_cases([case | change], "cases.yaml")
    with pytest.raises(ConfigError, match=r"cases\.yaml"):
        read_cases({"not": "a list"}, "cases.yaml")
