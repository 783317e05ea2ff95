"""How exact limits are, as one table: what was offered, what was admitted, over 1 to 8 ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.report.numbers import NONE
from benchmarks.results import Measurement, Run

HEAD = (
    "ledgers", "limit", "offered", "admitted at once", "admitted within the window",
    "over the limit", "the store did not answer in time", "repeats",
)  # fmt: skip
_FIGURES = (
    "limits_offered", "limits_at_once", "limits_admitted", "limits_over", "limits_unavailable",
)  # fmt: skip


def is_accuracy(measurement: Measurement) -> bool:
    """Whether it says how exact a limit was."""
    return "limits_over" in measurement.figures


def rows(run: Run) -> Iterator[list[str]]:
    """A row for each number of ledgers and each limit: counts, from the lowest to the highest."""
    cases: dict[tuple[float, float], list[Measurement]] = {}
    for each in filter(is_accuracy, run.measurements):
        figures = each.figures
        cases.setdefault((figures["limits_ledgers"], figures["limits_limit"]), []).append(each)
    for (ledgers, limit), repeats in sorted(cases.items()):
        cells = [_counted(each.figures[name] for each in repeats) for name in _FIGURES]
        yield [f"{ledgers:,.0f}", f"{limit:,.0f}", *cells, str(len(repeats))]


def _counted(values: Iterable[float]) -> str:
    """Counts are exact: one number where all repeats agree, else the range."""
    found = sorted(set(values))
    if not found:
        return NONE
    low, high = found[0], found[-1]
    return f"{low:,.0f}" if low == high else f"{low:,.0f} - {high:,.0f}"
