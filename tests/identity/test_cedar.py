from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import InvalidRequest
from helixflow.identity.cedar import Circumstances, CompiledPolicies, Judgement, Target
from helixflow.identity.cedar_schema import check_source
from helixflow.inference.principal import Principal
from helixflow.testing.identity import some_principal

WHO = some_principal()
MONDAY_NOON = 1_700_481_600.0
BIG = Target("Model", "big", (("region", "eu"), ("dataClass", "internal")))
SMALL = Target("Model", "small")
NO_BIG = 'forbid (principal, action, resource is Model) when { resource.name == "big" };'


def ask(
    policies: CompiledPolicies,
    target: Target = BIG,
    who: Principal = WHO,
    action: str = "model:invoke",
    **circumstances: Any,
) -> Judgement:
    return policies.decide(who, action, target, Circumstances(MONDAY_NOON, **circumstances))


def test_without_policies_roles_decide() -> None:
    assert ask(CompiledPolicies({})) == Judgement(allowed=True, because=("roles",))


def test_a_forbid_narrows_and_names_itself() -> None:
    policies = CompiledPolicies({"pol_1": NO_BIG})
    assert ask(policies) == Judgement(allowed=False, because=("pol_1",))
    assert ask(policies, SMALL) == Judgement(allowed=True, because=("roles",))


def test_with_a_permit_what_is_not_permitted_is_denied() -> None:
    policies = CompiledPolicies(
        {"pol_1": 'permit (principal, action, resource == Model::"small");'}
    )
    assert ask(policies, SMALL) == Judgement(allowed=True, because=("pol_1",))
    assert ask(policies) == Judgement(allowed=False, because=())


def test_forbid_beats_permit() -> None:
    policies = CompiledPolicies({"pol_1": "permit (principal, action, resource);", "pol_2": NO_BIG})
    assert ask(policies).because == ("pol_2",)
    assert not ask(policies).allowed


@pytest.mark.parametrize(
    ("condition", "circumstances", "holds"),
    [
        (
            'context has source && context.source.isInRange(ip("10.0.0.0/8"))',
            {"source": "10.1.2.3"},
            True,
        ),
        (
            'context has source && context.source.isInRange(ip("10.0.0.0/8"))',
            {"source": "11.1.2.3"},
            False,
        ),
        ('context has source && context.source.isInRange(ip("10.0.0.0/8"))', {}, False),
        ("context.time.weekday == 1 && context.time.hour == 12", {}, True),
        ('context.claims.contains("team=red")', {"claims": frozenset({"team=red"})}, True),
        ('context.claims.contains("team=red")', {"claims": frozenset({"team=blue"})}, False),
        ('resource.region == "eu" && resource.dataClass == "internal"', {}, True),
        (f'principal.project == "{WHO.project}"', {}, True),
        ('principal.project == "another"', {}, False),
    ],
)
def test_policies_read_attributes(
    condition: str, circumstances: dict[str, Any], holds: bool
) -> None:
    source = f"forbid (principal, action, resource is Model) when {{ {condition} }};"
    check_source(source)
    policies = CompiledPolicies({"pol_1": source})
    for _ in range(2):
        assert ask(policies, **circumstances).allowed is not holds


@pytest.mark.parametrize(
    ("condition", "same_second", "same_hour", "same_source"),
    [
        ('resource.name == "big"', True, True, True),
        ("context.time.hour == 3 || context.time.weekday == 7", True, True, True),
        ("context has source && context.source.isLoopback()", True, True, False),
        ('context.claims.contains("a=b")', True, True, True),
        ("context.time.epoch == 3", True, False, True),
        ("context.time == {epoch: 3, hour: 1, weekday: 2}", True, False, False),
        ("context == context", True, False, False),
    ],
)
def test_a_decision_is_kept_for_what_the_policies_cannot_tell_apart(
    condition: str, same_second: bool, same_hour: bool, same_source: bool
) -> None:
    source = f"forbid (principal, action, resource is Model) when {{ {condition} }};"
    check_source(source)
    policies = CompiledPolicies({"pol_1": source})
    first = policies.decide(WHO, "model:invoke", BIG, Circumstances(MONDAY_NOON))
    for other, kept in (
        (Circumstances(MONDAY_NOON + 0.5), same_second),
        (Circumstances(MONDAY_NOON + 2), same_hour),
        (Circumstances(MONDAY_NOON, "10.0.0.1"), same_source),
    ):
        assert (policies.decide(WHO, "model:invoke", BIG, other) is first) == kept


def test_a_kept_decision_ends_with_the_hour() -> None:
    policies = CompiledPolicies(
        {"pol_1": "forbid (principal, action, resource) when { context.time.hour == 13 };"}
    )
    for seconds, allowed in ((0, True), (3599, True), (3600, False), (7200, True)):
        asked = Circumstances(MONDAY_NOON + seconds)
        assert policies.decide(WHO, "model:invoke", BIG, asked).allowed is allowed


def test_a_policy_that_is_nested_too_deeply_is_refused() -> None:
    condition = " && ".join(['principal.name != "x"'] * 600)
    with pytest.raises(InvalidRequest):
        check_source(f"forbid (principal, action, resource) when {{ {condition} }};")


def test_a_policy_that_fails_denies() -> None:
    """The sum overflows: Cedar itself would pass over the policy."""
    source = (
        "forbid (principal, action, resource) when"
        " { context.time.epoch + 9223372036854775807 > 0 };"
    )
    check_source(source)
    judgement = ask(CompiledPolicies({"pol_1": source}))
    assert not judgement.allowed
    assert judgement.errors


@pytest.mark.parametrize("source", ["", "handle", "not an address", "10.0.0.300"])
def test_a_source_that_is_no_address_is_no_source(source: str) -> None:
    without = "forbid (principal, action, resource) unless { context has source };"
    judgement = ask(CompiledPolicies({"pol_1": without}), source=source)
    assert (judgement.allowed, judgement.errors) == (False, ())
    free = CompiledPolicies({"pol_1": 'forbid (principal == Caller::"nobody", action, resource);'})
    assert ask(free, source=source).allowed


@pytest.mark.parametrize("source", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_an_address_may_be_spelled_in_several_ways(source: str) -> None:
    condition = 'context has source && context.source.isInRange(ip("10.0.0.0/8"))'
    within = f"permit (principal, action, resource) when {{ {condition} }};"
    assert ask(CompiledPolicies({"pol_1": within}), source=source).allowed
    assert not ask(CompiledPolicies({"pol_1": within}), source="fe80::1%eth0").allowed


def test_administration_is_judged_on_objects() -> None:
    policies = CompiledPolicies(
        {"pol_1": 'forbid (principal, action == Action::"key:create", resource);'}
    )
    thing = Target("Object", "key_1", (("project", "proj_1"),))
    assert not ask(policies, thing, action="key:create").allowed
    assert ask(policies, thing, action="key:read").allowed


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("permit (", "unexpected"),
        ("", "no policy"),
        ("// nothing\n", "no policy"),
        ("permit (principal, action, resource) when { context.nope };", "nope"),
        ('permit (principal, action == Action::"model:fly", resource);', "fly"),
        ("permit (principal == ?principal, action, resource);", "emplate"),
        ("// " + "x" * 17_000, "longer"),
        ("// \ud800", "UTF-8"),
    ],
)
def test_a_policy_that_does_not_fit_the_schema_is_refused(source: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint) as caught:
        check_source(source)
    assert caught.value.param == "source"


@given(st.text(max_size=50))
def test_any_text_is_checked_without_breaking(source: str) -> None:
    with pytest.raises(InvalidRequest):
        check_source(source)


@given(st.sets(st.sampled_from(["a", "b", "c", "d"])), st.sampled_from(["a", "b", "c", "d", "e"]))
def test_more_forbids_never_allow_more(forbidden: set[str], model: str) -> None:
    sources = {
        f"pol_{name}": f'forbid (principal, action, resource == Model::"{name}");'
        for name in forbidden
    }
    judgement = ask(CompiledPolicies(sources), Target("Model", model))
    assert judgement.allowed == (model not in forbidden)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_name_can_be_asked_about(name: str, model: str) -> None:
    who = Principal(WHO.organization, WHO.project, WHO.key, name, WHO.permissions)
    assert ask(CompiledPolicies({"pol_1": NO_BIG}), Target("Model", model), who).allowed == (
        model != "big"
    )
