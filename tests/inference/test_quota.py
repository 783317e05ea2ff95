from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.inference.quota import BY_URGENCY, LimitName, Quota, Scope, ServiceClass, Share


def test_a_quota_crosses_a_process_border() -> None:
    quota = Quota(LimitName.SPEND_PER_DAY, (Scope.MODEL, Scope.PROJECT), 7, True, "smollm2")
    assert Quota.from_wire(quota.to_wire()) == quota


def test_a_share_crosses_a_process_border() -> None:
    share = Share(2.5, ServiceClass.BATCH)
    assert Share.from_wire(share.to_wire()) == share


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
