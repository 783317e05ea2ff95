"""What docs/limits.md and the configurations show can be used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from helixflow.api.error_body import error_body
from helixflow.errors import Breach, QuotaExceeded, Refusal
from helixflow.inference.quota import LimitName, Scope
from helixflow.settings import Settings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_pages_tiers_can_be_used() -> None:
    limits = Settings.of(yaml.safe_load(block("yaml"))).limits
    assert set(limits.tiers) == {"standard", "batch"}
    assert limits.tiers[limits.default_tier].limits[3].hard


def test_the_page_names_every_limit_and_every_scope() -> None:
    assert all(f"`{name.value}`" in PAGE for name in LimitName)
    assert all(f"`{scope.value}`" in PAGE for scope in Scope)


def test_the_pages_refusal_has_the_fields_of_a_real_one() -> None:
    shown: Any = yaml.safe_load(block("json"))["error"]
    breach = Breach("tokens_per_minute", "s", 1.0, 1.0, 1.0)
    real = yaml.safe_load(
        error_body(QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "No.", breach=breach))
    )["error"]
    assert list(shown) == list(real)
    assert list(shown["limit"]) == list(real["limit"])
    assert (shown["type"], shown["code"]) == (real["type"], real["code"])


@pytest.mark.parametrize(("file", "tier"), [("embedded", ""), ("production", "standard")])
def test_the_shipped_configurations_say_what_everybody_has(file: str, tier: str) -> None:
    text = (ROOT / "configs" / f"{file}.yaml").read_text(encoding="utf-8")
    limits = Settings.of(yaml.safe_load(text)).limits
    assert (limits.default_tier, bool(limits.tiers)) == (tier, bool(tier))


def test_the_example_of_the_embedded_platform_can_be_used() -> None:
    text = (ROOT / "configs" / "embedded.yaml").read_text(encoding="utf-8")
    found = re.search(r"^# limits:\n(?:#.*\n)+", text, re.MULTILINE)
    assert found is not None
    example = found[0].replace("\n# ", "\n").removeprefix("# ")
    assert Settings.of(yaml.safe_load(example)).limits.default_tier == "standard"
