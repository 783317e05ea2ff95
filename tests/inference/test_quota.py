from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.principal import Principal
from helixflow.inference.quota import (
    BY_URGENCY,
    LimitName,
    Quota,
    Scope,
    ServiceClass,
    Share,
    holding,
)
from helixflow.testing import values

PER_MODEL = (Scope.MODEL, Scope.PROJECT)


def quota(amount: int, model: str = "", name: LimitName = LimitName.TOKENS_PER_DAY) -> Quota:
    return Quota(name, PER_MODEL, amount, model=model)


def test_a_quota_crosses_a_process_border() -> None:
    made = Quota(LimitName.SPEND_PER_DAY, (Scope.MODEL, Scope.PROJECT), 7, True, "smollm2")
    assert Quota.from_wire(made.to_wire()) == made


def test_a_share_crosses_a_process_border() -> None:
    share = Share(2.5, ServiceClass.BATCH)
    assert Share.from_wire(share.to_wire()) == share


@given(values.principals, values.principals)
def test_callers_with_the_same_limits_keep_them_once(one: Principal, two: Principal) -> None:
    wires = one.to_wire(), (*two.to_wire()[:10], *one.to_wire()[10:])
    first, second = (Principal.from_wire(wire) for wire in wires)
    assert first.quotas is second.quotas
    assert first.share is second.share


def test_what_names_a_model_stands_before_what_is_about_each() -> None:
    each, big, other = quota(1), quota(5, "big"), quota(7, name=LimitName.TOKENS_PER_HOUR)
    for quotas in ((each, big, other), (other, big, each)):
        assert set(holding(quotas, "big")) == {big, other}
        assert set(holding(quotas, "small")) == {each, other}


@given(
    st.lists(
        st.builds(
            quota,
            st.integers(1, 9),
            st.sampled_from(["", "a", "b"]),
            st.sampled_from(LimitName),
        ),
        unique_by=lambda one: (one.name, one.model),
    ),
    st.sampled_from(["a", "b", "c"]),
)
def test_of_each_name_and_use_one_quota_holds(quotas: list[Quota], model: str) -> None:
    held = holding(quotas, model)
    assert len({one.name for one in held}) == len(held)
    assert {one.name for one in held} == {one.name for one in quotas if one.model in ("", model)}
    for one in held:
        assert one.model == model or all(
            other.model != model or other.name != one.name for other in quotas
        )


BATCH, STANDARD = ServiceClass.BATCH, ServiceClass.STANDARD
INTERACTIVE, CRITICAL = ServiceClass.INTERACTIVE, ServiceClass.CRITICAL


@pytest.mark.parametrize(
    ("share", "tier", "made"),
    [
        (STANDARD, "", STANDARD),
        (CRITICAL, "auto", CRITICAL),
        (INTERACTIVE, "default", INTERACTIVE),
        (CRITICAL, "flex", BATCH),
        (BATCH, "flex", BATCH),
        (CRITICAL, "priority", INTERACTIVE),
        (INTERACTIVE, "priority", INTERACTIVE),
        (STANDARD, "priority", STANDARD),
        (BATCH, "priority", BATCH),
        (STANDARD, "scale", STANDARD),
    ],
)
def test_a_tier_chooses_a_class_within_the_share(
    share: ServiceClass, tier: str, made: ServiceClass
) -> None:
    assert Share(1.0, share).class_for(tier) is made


@given(st.sampled_from(ServiceClass), st.text(max_size=10) | st.sampled_from(["flex", "priority"]))
def test_a_client_can_only_lower_itself(share: ServiceClass, tier: str) -> None:
    made = Share(1.0, share).class_for(tier)
    assert BY_URGENCY.index(made) >= BY_URGENCY.index(share)


def test_every_class_has_an_urgency() -> None:
    assert sorted(BY_URGENCY) == sorted(ServiceClass)
