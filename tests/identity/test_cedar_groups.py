"""Policies asked in groups, with what they said kept, decide as Cedar does when asked for all."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import cedarpy
from hypothesis import given
from hypothesis import strategies as st

from helixflow.identity.cedar import Circumstances, CompiledPolicies, Judgement, Target
from helixflow.identity.cedar_reads import ATTRIBUTES
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.principal import Principal
from helixflow.testing.identity import some_principal

WHO = some_principal()
NOON = 1_700_481_600.0
SCOPES = ("principal", 'principal == Caller::"key_a"')
ACTIONS = ("model:invoke", "model:list", "key:create")
ACTION_SCOPES = (
    "action",
    'action == Action::"model:invoke"',
    'action in [Action::"model:list", Action::"key:create"]',
)
CONDITIONS = (
    "true",
    'principal.project == "proj_a"',
    'principal.name like "b*" && context.time.weekday == 1',
    'resource == Model::"big"',
    "context.time.hour == 12",
    "context.time.epoch > 1700481601",
    "context.time.epoch + 9223372036854775807 > 0",
    'context has source && context.source.isInRange(ip("10.0.0.0/8"))',
    "context has source && context.source.isLoopback() && context.time.epoch > 1700481601",
    "!(context has source)",
    'context.claims.contains("team=red")',
    'context.claims.contains("team=red") || context.time.hour == 13',
    "context.time == {epoch: 1700481602, hour: 12, weekday: 1}",
)
TARGETS = (Target("Model", "big", (("region", "eu"),)), Target("Model", "small"))

policies = st.builds(
    "{} ({}, {}, resource) when {{ {} }};".format,
    st.sampled_from(["forbid", "forbid", "permit"]),
    st.sampled_from(SCOPES),
    st.sampled_from(ACTION_SCOPES),
    st.sampled_from(CONDITIONS),
)
callers = st.builds(
    lambda key, project, name: replace(WHO, key=KeyId(key), project=ProjectId(project), name=name),
    st.sampled_from(["key_a", "key_b"]),
    st.sampled_from(["proj_a", "proj_b"]),
    st.sampled_from(["a", "b1"]),
)
circumstances = st.builds(
    Circumstances,
    st.sampled_from([NOON, NOON + 0.5, NOON + 2, NOON + 3600, NOON + 86_400]),
    st.sampled_from(["", "10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "no address"]),
    st.sampled_from([frozenset[str](), frozenset({"team=red"}), frozenset({"a=b"})]),
)
questions = st.tuples(callers, st.sampled_from(ACTIONS), st.sampled_from(TARGETS), circumstances)


def plain(
    sources: dict[str, str],
    who: Principal,
    action: str,
    target: Target,
    circumstances: Circumstances,
) -> Judgement:
    """The same question to Cedar, with everything in it and nothing kept."""
    bodies: dict[str, Any] = {}
    for name, text in {**sources, "roles": "permit (principal, action, resource);"}.items():
        (bodies[name],) = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    if any(body["effect"] == "permit" for name, body in bodies.items() if name != "roles"):
        del bodies["roles"]
    moment = time.gmtime(circumstances.now)
    context: dict[str, Any] = {
        "time": {
            "epoch": int(circumstances.now),
            "hour": moment.tm_hour,
            "weekday": moment.tm_wday + 1,
        },
        "claims": sorted(circumstances.claims),
    }
    address = circumstances.source.removeprefix("::ffff:")
    if address[:1].isdigit():
        context["source"] = {"__extn": {"fn": "ip", "arg": address}}
    caller = {"type": "Caller", "id": who.key}
    resource = {"type": target.kind, "id": target.id}
    attributes = {"name": target.id, "owner": "", "region": "", "dataClass": ""}
    entities: list[dict[str, Any]] = [
        {"uid": caller, "attrs": {name: getattr(who, name) for name in ATTRIBUTES}, "parents": []},
        {"uid": resource, "attrs": attributes | dict(target.attributes), "parents": []},
    ]
    request = {
        "principal": caller,
        "action": {"type": "Action", "id": action},
        "resource": resource,
        "context": context,
    }
    everything = json.dumps({"templates": {}, "staticPolicies": bodies, "templateLinks": []})
    result = cedarpy.is_authorized(request, cedarpy.PolicySet.from_json_str(everything), entities)
    errors = tuple(sorted(result.diagnostics.errors))
    because = tuple(sorted(result.diagnostics.reasons))
    return Judgement(result.allowed and not errors, because, errors)


@given(st.lists(policies, max_size=6), st.lists(questions, min_size=1, max_size=10))
def test_what_is_kept_in_groups_agrees_with_cedar(
    texts: list[str], asked: list[tuple[Principal, str, Target, Circumstances]]
) -> None:
    sources = {f"pol_{number}": text for number, text in enumerate(texts)}
    kept, crowded = CompiledPolicies(sources), CompiledPolicies(sources, kept_max=2)
    for question in [*asked, *asked]:
        expected = plain(sources, *question)
        for compiled in (kept, crowded):
            said = compiled.decide(*question)
            errors = sorted(error.replace("#0`", "`") for error in said.errors)
            assert (said.allowed, said.because, tuple(errors)) == (
                expected.allowed, expected.because, expected.errors
            )  # fmt: skip


def test_a_policy_that_reads_the_clock_leaves_the_others_at_rest() -> None:
    sources = {
        "pol_place": "permit (principal, action, resource) when { context has source };",
        "pol_until": "forbid (principal, action, resource) when { context.time.epoch > 3 };",
        "pol_key": 'forbid (principal, action == Action::"key:create", resource);',
    }
    compiled = CompiledPolicies(sources)
    early, late = (Circumstances(now, "10.0.0.1") for now in (2.0, 4.0))
    target = Target("Model", "m")
    assert compiled.decide(WHO, "model:invoke", target, early).because == ("pol_place",)
    assert compiled.decide(WHO, "model:invoke", target, late).because == ("pol_until",)
    other = replace(WHO, organization=OrganizationId("org_other"))
    assert not compiled.decide(other, "key:create", target, early).allowed


def test_policies_about_other_actions_say_nothing() -> None:
    only = 'forbid (principal, action == Action::"key:create", resource);'
    target = Target("Model", "m")
    said = CompiledPolicies({"pol_1": only}).decide(WHO, "model:list", target, Circumstances(NOON))
    assert said == Judgement(allowed=True, because=("roles",))
    permit = CompiledPolicies({"pol_1": only.replace("forbid", "permit")})
    said = permit.decide(WHO, "model:list", target, Circumstances(NOON))
    assert said == Judgement(allowed=False, because=())
