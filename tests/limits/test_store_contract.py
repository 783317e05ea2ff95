"""The one contract of all stores of limits, on real servers too."""

from __future__ import annotations

import pytest

from helixflow.testing.limit_store import CHECKS, Check
from helixflow.testing.limit_tenant import Stage


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_every_store_keeps_the_contract(stage: Stage, check: Check) -> None:
    await check(stage)
