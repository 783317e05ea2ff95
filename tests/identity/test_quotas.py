from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from helixflow.identity.quotas import (
    RANKS,
    Tier,
    Tiers,
    ceiling_of,
    counts_within,
    resolve,
    shape_of,
    share_of,
)
from helixflow.identity.records import Organization, StoredQuota
from helixflow.ids import OrganizationId
from helixflow.inference.quota import LimitName, Quota, Scope, ServiceClass, Share
from helixflow.settings import Settings
from helixflow.testing.store import some_quota

ORGANIZATION = OrganizationId("org_1")
NAMES = st.sampled_from([LimitName.REQUESTS_PER_DAY, LimitName.TOKENS_PER_DAY])
SCOPES = st.sampled_from(["key", "model", "model,project"])
MODELS = st.sampled_from(["", "m"])


@st.composite
def overrides(draw: st.DrawFn) -> StoredQuota:
    entity = draw(st.sampled_from(Scope))
    return some_quota(
        ORGANIZATION,
        entity,
        "m" if entity is Scope.MODEL else "",
        name=draw(NAMES),
        scopes=draw(SCOPES),
        amount=draw(st.integers(1, 99)),
        model="" if entity is Scope.ORGANIZATION else draw(MODELS),
    )


def place_of(row: StoredQuota) -> tuple[object, ...]:
    return row.entity, shape_of(row.quota)


QUOTAS = st.lists(overrides().map(lambda row: row.quota), unique_by=shape_of, max_size=6)
ROWS = st.lists(overrides(), unique_by=place_of, max_size=8)


@given(QUOTAS, ROWS, st.randoms(use_true_random=False))
def test_the_most_specific_has_the_place_whatever_the_order(
    defaults: list[Quota], rows: list[StoredQuota], chance: random.Random
) -> None:
    tier = Tier("t", tuple(defaults))
    resolved = resolve(tier, rows)
    shuffled = chance.sample(rows, len(rows))
    assert resolve(Tier("t", tuple(reversed(defaults))), shuffled) == resolved
    by_shape = {shape_of(quota): quota for quota in resolved}
    assert len(by_shape) == len(resolved)
    assert set(by_shape) == {shape_of(quota) for quota in (*defaults, *(r.quota for r in rows))}
    for shape, quota in by_shape.items():
        there = [row for row in rows if shape_of(row.quota) == shape]
        if there:
            best = max(RANKS[row.entity] for row in there)
            assert quota in [row.quota for row in there if RANKS[row.entity] == best]
        else:
            assert quota in defaults


def test_what_an_organization_says_of_one_model_never_has_the_place_of_another() -> None:
    of_all, of_one = some_quota(ORGANIZATION, scopes="model"), some_quota(
        ORGANIZATION, Scope.MODEL, "m"
    )  # fmt: skip
    assert set(resolve(Tier(), [of_all, of_one])) == {of_all.quota, of_one.quota}


def test_a_share_is_the_organizations_own_or_its_tiers() -> None:
    tier = Tier("t", (), Share(2.0, ServiceClass.BATCH))
    plain = Organization(ORGANIZATION, "o", 0.0)
    assert share_of(tier, plain) == tier.share
    own = Organization(ORGANIZATION, "o", 0.0, weight=0.5, service_class=ServiceClass.INTERACTIVE)
    assert share_of(tier, own) == Share(0.5, ServiceClass.INTERACTIVE)


def test_what_is_counted_lies_within_what_it_is_about() -> None:
    assert all(counts_within(Scope.ORGANIZATION, [scope]) for scope in Scope)
    assert counts_within(Scope.PROJECT, [Scope.KEY])
    assert counts_within(Scope.PROJECT, [Scope.MODEL, Scope.PROJECT])
    assert not counts_within(Scope.PROJECT, [Scope.MODEL, Scope.USER])
    assert not counts_within(Scope.KEY, [Scope.PROJECT])
    assert not counts_within(Scope.USER, [Scope.ORGANIZATION])


def test_tiers_are_those_of_the_configuration() -> None:
    limits = [
        {"name": "spend_per_month", "per": ["project"], "amount": "99.5", "hard": True},
        {"name": "tokens_per_day", "per": ["model", "key"], "amount": 10, "model": "m"},
    ]
    tree = {"limits": {"tiers": {"gold": {"limits": limits, "weight": 3}, "tin": {}}}}
    tiers = Tiers(Settings.of(tree).limits)
    assert tiers.names == ["gold", "tin"]
    assert tiers.of("gold") == Tier(
        "gold",
        (
            Quota(LimitName.SPEND_PER_MONTH, (Scope.PROJECT,), 99_500_000_000, True),
            Quota(LimitName.TOKENS_PER_DAY, (Scope.KEY, Scope.MODEL), 10, False, "m"),
        ),
        Share(3.0),
    )
    assert tiers.of(None) == tiers.of("gone") == Tier()
    tree["limits"]["default_tier"] = "tin"  # type: ignore[assignment]
    named = Tiers(Settings.of(tree).limits)
    assert named.of(None) == named.of("gone") == Tier("tin")


def test_a_tier_says_what_an_organization_may_have_of_one_model() -> None:
    each, one = (
        Quota(LimitName.TOKENS_PER_DAY, (Scope.MODEL,), 5),
        Quota(LimitName.TOKENS_PER_DAY, (Scope.MODEL,), 9, model="m"),
    )
    tier = Tier("t", (each, one))
    wanted = [Quota(LimitName.TOKENS_PER_DAY, (Scope.MODEL,), 7, model=name) for name in ("m", "n")]
    assert [ceiling_of(tier, quota) for quota in wanted] == [one, each]
    assert ceiling_of(tier, Quota(LimitName.TOKENS_PER_DAY, (Scope.ORGANIZATION,), 7)) is None
