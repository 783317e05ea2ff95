from __future__ import annotations

from pathlib import Path

import pytest

from helixflow.testing.prometheus import find_programs
from tests.architecture.tree import ROOT


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    """prometheus and promtool, kept in the checkout."""
    return find_programs(ROOT / ".helixflow" / "prometheus")
