from __future__ import annotations

import pytest

from benchmarks.scenarios.gateway import CAPACITY_PER_S, PACED, PACED_TOKENS
from benchmarks.settings import EVERYTHING_CONFIG, GROWTH_CONFIG
from benchmarks.systems.everything_on import POLICIES
from helixflow.identity.cedar_schema import check_source
from helixflow.settings import Settings


@pytest.mark.parametrize("source", POLICIES.values(), ids=list(POLICIES))
def test_its_policies_are_valid(source: str) -> None:
    check_source(source)  # raises where it is not


def test_every_request_is_under_five_limits_and_has_a_price() -> None:
    settings = Settings.load(EVERYTHING_CONFIG)
    assert len(settings.limits.tiers[settings.limits.default_tier].limits) == 5
    assert settings.models[0].price is not None


def test_the_overloaded_model_has_the_capacity_that_is_said() -> None:
    model = Settings.of({"models": [PACED]}).models[0]
    service_s = PACED_TOKENS / model.echo.tokens_per_s
    assert model.sequences_max / service_s == CAPACITY_PER_S


def test_thousands_of_connections_fit_into_the_growing_model() -> None:
    model = Settings.load(GROWTH_CONFIG).models[0]
    assert model.sequences_max + model.queue_max > 5000
