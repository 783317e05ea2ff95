"""Figures as text. One without a spread is not printed."""

from __future__ import annotations

from benchmarks.stats.spread import Figure

NONE = "-"


def shown(figure: Figure | None) -> str:
    """`1,234 [1,200 - 1,260]`: the median and the range of the repeats."""
    if figure is None:
        return NONE
    if figure.samples < 2:
        return "one repeat: no spread"
    low, middle, high = (_rounded(x, figure) for x in (figure.low, figure.median, figure.high))
    return f"{middle} [{low} - {high}]"


def _rounded(value: float, figure: Figure) -> str:
    """Three significant digits of the largest number of the figure."""
    largest = max(abs(figure.high), abs(figure.low))
    if not largest:
        return "0"
    if largest >= 100:
        return f"{value:,.0f}"
    if largest >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if largest >= 1 else f"{value:.3f}"
