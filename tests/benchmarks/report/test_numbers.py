from __future__ import annotations

import pytest

from benchmarks.report.numbers import shown
from benchmarks.stats.spread import Figure


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(1234.5, 1200.0, 1300.0, 3), "1,234 [1,200 - 1,300]"),
        (Figure(18.25, 17.0, 20.0, 3), "18.2 [17.0 - 20.0]"),
        (Figure(0.5, 0.25, 1.5, 2), "0.50 [0.25 - 1.50]"),
        (Figure(0.0123, 0.01, 0.02, 2), "0.012 [0.010 - 0.020]"),
        (None, "-"),
    ],
)
def test_a_figure_comes_with_its_range(figure: Figure | None, text: str) -> None:
    assert shown(figure) == text


def test_a_figure_without_a_spread_is_not_printed() -> None:
    assert shown(Figure(5.0, 5.0, 5.0, 1)) == "one repeat: no spread"
