"""A page of metrics as its reader sees it: samples, what counters grew by, quantiles.

Pure. Rates are differences of two pages, as Prometheus makes them: a counter that fell began anew,
and all that it holds is growth; one that was not there before began at nothing. A histogram begins
anew as a whole, so that its buckets stay in order. Quantiles are those of `histogram_quantile`
(https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile): linear
within a bucket, the first one from 0 on.

Failure behavior: a page that is not Prometheus' text format is a `ValueError`; a metric that is
missing has no samples, no growth, no quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from helixflow.signals import Labels

Series: TypeAlias = Mapping[Labels, float]
Buckets: TypeAlias = tuple[tuple[float, float], ...]
"""`(upper bound, count of what is at most that)`, both rising; the last bound is infinite."""

_BOUND = "le"


@dataclass(frozen=True, slots=True)
class Scrape:
    """One page.

    Attributes:
        at: when it was read, seconds of any clock that only goes on.
        samples: by the name of the sample (`..._total`, `..._bucket`), then by sorted labels.
    """

    at: float
    samples: Mapping[str, Series]

    @staticmethod
    def of(text: str, at: float) -> Scrape:
        """Read a page. Raises ValueError."""
        # A tenth of a second to import, which every command would pay for the two that read pages.
        from prometheus_client.parser import text_string_to_metric_families

        samples: dict[str, dict[Labels, float]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    labels = tuple(sorted(sample.labels.items()))
                    samples.setdefault(sample.name, {})[labels] = float(sample.value)
        except (IndexError, KeyError, TypeError) as error:  # the parser's ways to stumble
            raise ValueError("this is no page of metrics") from error
        return Scrape(at, samples)

    def series(self, name: str) -> Series:
        """All samples of a name."""
        return self.samples.get(name, {})


def increase(before: Scrape, after: Scrape, name: str) -> dict[Labels, float]:
    """By how much each counter of a name grew; never less than 0."""
    old = before.series(name)
    grown = {}
    for labels, value in after.series(name).items():
        was = old.get(labels, 0.0)
        grown[labels] = value - was if value >= was else value
    return grown


def sums(series: Series, *names: str) -> dict[tuple[str, ...], float]:
    """Added up over all labels but these; one that a sample does not have is empty."""
    found: dict[tuple[str, ...], float] = {}
    for labels, value in series.items():
        have = dict(labels)
        key = tuple(have.get(name, "") for name in names)
        found[key] = found.get(key, 0.0) + value
    return found


def bucket_increases(before: Scrape, after: Scrape, name: str) -> dict[Labels, Buckets]:
    """What came into each histogram of a name, by its labels (without `le`)."""
    old, new = _histograms(before, name), _histograms(after, name)
    return {labels: _grown(old.get(labels, {}), counts) for labels, counts in new.items()}


def merged(
    histograms: Mapping[Labels, Buckets], chosen: Callable[[Mapping[str, str]], bool]
) -> Buckets:
    """The histograms whose labels are chosen, as one; they have the same bounds."""
    total: dict[float, float] = {}
    for labels, buckets in histograms.items():
        if chosen(dict(labels)):
            for bound, count in buckets:
                total[bound] = total.get(bound, 0.0) + count
    return _ordered(total.items())


def quantile(share: float, buckets: Buckets) -> float | None:
    """Below what `share` (0 to 1) of the observations are; None where there are none.

    What is above all bounds counts as the highest finite one.
    """
    if len(buckets) < 2 or buckets[-1][0] != math.inf or not buckets[-1][1] > 0:
        return None
    rank = share * buckets[-1][1]
    place = next(i for i, (_, count) in enumerate(buckets) if count >= rank)
    if place == len(buckets) - 1:
        return buckets[-2][0]
    end, count = buckets[place]
    start, below = buckets[place - 1] if place else (0.0, 0.0)
    if place == 0 and end <= 0:
        return end
    inside = count - below
    return start + (end - start) * ((rank - below) / inside) if inside else start


def _histograms(scrape: Scrape, name: str) -> dict[Labels, dict[float, float]]:
    found: dict[Labels, dict[float, float]] = {}
    for labels, value in scrape.series(f"{name}_bucket").items():
        bound = dict(labels).get(_BOUND)
        if bound is not None:
            rest = tuple(pair for pair in labels if pair[0] != _BOUND)
            found.setdefault(rest, {})[float(bound)] = value
    return found


def _grown(old: Mapping[float, float], new: Mapping[float, float]) -> Buckets:
    if any(count < old.get(bound, 0.0) for bound, count in new.items()):
        return _ordered(new.items())
    return _ordered((bound, count - old.get(bound, 0.0)) for bound, count in new.items())


def _ordered(counts: Iterable[tuple[float, float]]) -> Buckets:
    """Rising bounds, and counts that do not fall (as Prometheus mends them)."""
    buckets = sorted(counts)
    for place, ((_, below), (bound, count)) in enumerate(pairwise(list(buckets)), start=1):
        buckets[place] = (bound, max(count, below, buckets[place - 1][1]))
    return tuple(buckets)
