from __future__ import annotations

import json
from dataclasses import replace

import cedarpy
import pytest

from helixflow.identity.cedar import Circumstances, CompiledPolicies, Target
from helixflow.identity.cedar_reads import (
    ATTRIBUTES,
    PARTS,
    actions,
    caller_attributes,
    context_parts,
)
from helixflow.ids import KeyId, ProjectId
from helixflow.testing.identity import some_principal

WHO = some_principal()
BIG = Target("Model", "big")
NOON = Circumstances(1_750_000_000.0)


def parsed(head: str, condition: str = "true") -> dict[str, object]:
    text = f"forbid ({head}) when {{ {condition} }};"
    (body,) = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    return dict(body)


@pytest.mark.parametrize(
    ("condition", "read"),
    [
        ("true", ()),
        ('resource.name == "big"', ()),
        ('principal.project == "a"', ("project",)),
        ('principal.name like "a*" || principal.organization == "b"', ("organization", "name")),
        ('principal.key == "key_1"', ("key",)),
        ('principal == Caller::"key_1"', ATTRIBUTES),
        ('principal in Caller::"key_1"', ATTRIBUTES),
        ("principal has name", ATTRIBUTES),
        ('Caller::"key_1".name == "a"', ATTRIBUTES),
        ('[principal].contains(Caller::"key_1")', ATTRIBUTES),
        ('{"a": principal}["a"].name == "a"', ATTRIBUTES),
        ("principal.another == 1", ATTRIBUTES),
    ],
)
def test_what_a_policy_reads_of_the_caller_is_known(condition: str, read: tuple[str, ...]) -> None:
    assert caller_attributes(parsed("principal, action, resource", condition)) == read


@pytest.mark.parametrize(
    ("scope", "read"),
    [
        ("principal", ()),
        ("principal is Caller", ()),
        ('principal == Caller::"key_1"', ATTRIBUTES),
        ('principal in Caller::"key_1"', ATTRIBUTES),
        ('principal is Caller in Caller::"key_1"', ATTRIBUTES),
    ],
)
def test_a_scope_that_names_a_caller_reads_all_of_it(scope: str, read: tuple[str, ...]) -> None:
    assert caller_attributes(parsed(f"{scope}, action, resource")) == read


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("true", set()),
        ('principal.name == "context"', set()),
        ("context.time.hour == 3 && context.time.weekday == 1", {"hour"}),
        ("context.time.epoch == 3", {"second"}),
        ("context has source && context.source.isLoopback()", {"source"}),
        ('context.claims.contains("a=b")', {"claims"}),
        ("context.time has hour", set(PARTS)),
        ("context has claims", set(PARTS)),
        ("context == context", set(PARTS)),
    ],
)
def test_what_a_policy_reads_of_the_context_is_known(condition: str, parts: set[str]) -> None:
    assert context_parts(parsed("principal, action, resource", condition)) == parts


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ("action", None),
        ('action == Action::"model:invoke"', {"model:invoke"}),
        ('action in Action::"model:invoke"', {"model:invoke"}),
        ('action in [Action::"model:invoke", Action::"key:read"]', {"model:invoke", "key:read"}),
        ('action in [Action::"key:read", Action::"key:read"]', {"key:read"}),
        ("action in []", set()),
    ],
)
def test_what_actions_a_policy_is_about_is_known(scope: str, named: set[str] | None) -> None:
    assert actions(parsed(f"principal, {scope}, resource")) == named


@pytest.mark.parametrize(
    "scope",
    [
        None,
        {"op": "=="},
        {"op": "in", "entities": 3},
        {"op": "==", "entity": {"type": "Group", "id": "x"}},
    ],
)
def test_a_scope_that_is_not_recognized_is_about_every_action(scope: object) -> None:
    assert actions({"action": scope}) is None


def test_a_decision_is_kept_for_all_callers_that_the_policies_cannot_tell_apart() -> None:
    condition = 'principal.project == "proj_a"'
    policies = CompiledPolicies(
        {"pol_1": f"forbid (principal, action, resource) when {{ {condition} }};"}
    )
    inside = replace(WHO, project=ProjectId("proj_a"))
    first = policies.decide(inside, "model:invoke", BIG, NOON)
    alike = replace(inside, key=KeyId("key_other"), name="other")
    outside = replace(alike, project=ProjectId("proj_b"))
    assert not first.allowed
    assert policies.decide(alike, "model:invoke", BIG, NOON) is first
    assert policies.decide(outside, "model:invoke", BIG, NOON).allowed


def test_a_policy_about_one_key_is_not_kept_for_another() -> None:
    policies = CompiledPolicies(
        {"pol_1": f'forbid (principal == Caller::"{WHO.key}", action, resource);'}
    )
    other = replace(WHO, key=KeyId("key_other"))
    assert not policies.decide(WHO, "model:invoke", BIG, NOON).allowed
    assert policies.decide(other, "model:invoke", BIG, NOON).allowed
    assert not policies.decide(WHO, "model:invoke", BIG, NOON).allowed


def test_a_claim_that_no_policy_reads_changes_nothing() -> None:
    policies = CompiledPolicies(
        {"pol_1": "forbid (principal, action, resource) when { context.time.hour == 25 };"}
    )
    odd = replace(NOON, claims=frozenset({"a=\ud800"}))
    assert policies.decide(WHO, "model:invoke", BIG, odd).allowed
    assert policies.decide(WHO, "model:invoke", BIG, NOON).allowed
