from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import ConfigError
from helixflow.inference.quota import LimitName, Scope, ServiceClass
from helixflow.settings import LimitsSettings, Settings
from helixflow.tiers import (
    AMOUNT_MAX,
    ClassWord,
    LimitFault,
    LimitWord,
    ScopeWord,
    TierSettings,
    amount_of,
    scopes_of,
    units_of,
)

RPM = {"name": "requests_per_minute", "per": ["key"], "amount": 100}


def tier(*limits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"limits": {"tiers": {"gold": {"limits": list(limits), **more}}}}


def test_the_words_are_those_that_everybody_uses() -> None:
    for words, names in ((LimitWord, LimitName), (ScopeWord, Scope), (ClassWord, ServiceClass)):
        assert get_args(words) == tuple(name.value for name in names)


def test_a_tier_is_read_with_its_defaults() -> None:
    settings = Settings.of(tier(RPM, {"name": "spend_per_day", "amount": 12.5}, weight=2))
    gold = settings.limits.tiers["gold"]
    assert (gold.weight, gold.service_class, settings.limits.default_tier) == (2.0, "standard", "")
    spend = gold.limits[1]
    assert (spend.per, spend.amount, spend.hard, spend.model) == (
        ("organization",), Decimal("12.5"), False, "",
    )  # fmt: skip


def test_settings_come_back_from_their_plain_form_as_they_were() -> None:
    limits = Settings.of(tier(RPM, {"name": "spend_per_day", "amount": 0.1})).limits
    assert LimitsSettings(**limits.model_dump(mode="json")) == limits


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (tier({**RPM, "nme": 1}), "limits.tiers.gold.limits.0.nme: unknown key; did you mean"),
        ({"limits": {"tiers": {"gold": {"wieght": 1}}}}, "wieght: unknown key; did you mean"),
        ({"limits": {"tiers": {"Gold!": {}}}}, "limits.tiers.Gold!"),
        ({"limits": {"default_tier": "x"}}, "there is no tier 'x'; known: none"),
        ({"limits": {"default_tier": "x", "tiers": {"gold": {}}}}, "known: gold"),
        (tier({**RPM, "name": "rpm"}), "'requests_per_minute'"),
        (tier({**RPM, "per": ["team"]}), "'organization'"),
        (tier({**RPM, "per": ["organization", "key"]}), "leave `organization` out"),
        (tier({**RPM, "per": ["key", "model", "user"]}), "one scope, or two"),
        (tier({**RPM, "per": ["key", "key"]}), "one scope, or two different"),
        (tier({**RPM, "per": []}), "one scope, or two"),
        (tier({**RPM, "model": "big"}), "add `model`"),
        (tier({**RPM, "per": ["model"], "model": "not a model"}), "pattern"),
        (tier({**RPM, "amount": 0}), "above 0 and at most 4000000000000000"),
        (tier({**RPM, "amount": 10**16}), "at most 4000000000000000"),
        (tier({**RPM, "amount": 0.5}), "a whole number"),
        (tier({**RPM, "amount": float("inf")}), "finite"),
        (tier({"name": "spend_per_day", "amount": 5e6}), "at most 4000000 US dollars"),
        (tier({"name": "spend_per_day", "amount": "0.0000000001"}), "at most nine digits"),
        (tier({**RPM, "hard": True}), "for tokens and spend"),
        (tier(RPM, {**RPM, "amount": 5}), "requests_per_minute per key is limited twice"),
        (tier(*[RPM] * 21), "at most 20"),
        (tier(weight=0), "greater than 0"),
        (tier(weight=1001), "less than or equal to 1000"),
        (tier(service_class="best"), "'interactive'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write_instead(
    raw: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.of({"limits": raw["limits"]})
    assert message in str(caught.value)


@given(st.sampled_from(LimitName), st.integers(1, AMOUNT_MAX))
def test_an_amount_comes_back_from_how_people_write_it(name: LimitName, units: int) -> None:
    assert units_of(name, Decimal(repr(amount_of(name, units))).quantize(Decimal("1e-9"))) == units


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-1", "0", "1e999"])
def test_no_amount_is_out_of_bounds(amount: str) -> None:
    for name in LimitName:
        with pytest.raises(LimitFault) as caught:
            units_of(name, Decimal(amount))
        assert caught.value.field == "amount"


def test_scopes_are_in_alphabetical_order() -> None:
    assert scopes_of(("project", "model"), "m") == ("model", "project")


def test_an_empty_tier_gives_an_ordinary_share() -> None:
    assert TierSettings().limits == ()
