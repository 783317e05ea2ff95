"""Pictures of what identity costs, and of how soon a revoked key is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from benchmarks.report.samples import read
from benchmarks.results import Described, Run
from benchmarks.stats.spread import figure

_COLOR = "#1f6feb"
_OTHER = "#c58b2a"
_BINS = 40
_BOUND_MS = 1000.0


def added(run: Run, scenario: Described, _folder: Path) -> Any:
    """CPU added to a warm request, for each kind of policies."""
    picture, axis = plt.subplots(figsize=(9, 4.2), layout="constrained")
    picture.suptitle(scenario.title)
    (system,) = scenario.systems
    for place, load in enumerate(scenario.loads):
        values = run.series(scenario.name, system, load, "added_us")
        seen = figure(values)
        if seen is not None:
            axis.barh(place, seen.median, 0.6, color=_COLOR)
            axis.scatter(values, [place] * len(values), color="black", s=9, zorder=3)
    for target_us, first, last in ((30.0, -0.4, 1.4), (80.0, 1.6, 4.4)):
        label = f"reach: {target_us:g} µs"
        axis.plot([target_us] * 2, [first, last], color="firebrick", linestyle="--", label=label)
    axis.set_yticks(range(len(scenario.loads)), list(scenario.loads.values()))
    axis.invert_yaxis()
    axis.set_xlabel("µs of CPU for each request; every repeat as a dot")
    axis.grid(axis="x", alpha=0.3)
    picture.legend(loc="outside lower center", ncols=2)
    return picture


def cold(_run: Run, scenario: Described, folder: Path) -> Any:
    """Cold look-ups as cumulative shares, one panel for each database."""
    picture, axes = plt.subplots(
        1, len(scenario.systems), figsize=(11, 4.2), layout="constrained", squeeze=False
    )
    picture.suptitle(scenario.title)
    latencies = _samples(scenario, folder)
    palette = plt.get_cmap("viridis")
    for axis, (system, title) in zip(axes[0], scenario.systems.items(), strict=True):
        for index, (load, name) in enumerate(scenario.loads.items()):
            values = sorted(latencies.get((system, load), []))
            shares = [(rank + 1) / len(values) for rank in range(len(values))]
            color = palette(0.85 * index / max(1, len(scenario.loads) - 1))
            axis.plot(values, shares, color=color, label=name)
        axis.axvline(3.0, color="firebrick", linestyle="--", linewidth=1, label="reach: 3 ms")
        axis.set_xscale("log")
        axis.set_title(title)
        axis.set_xlabel("cold look-up, ms (log scale)")
        axis.set_ylabel("share of look-ups")
        axis.grid(alpha=0.3)
    handles, labels = axes[0][0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return picture


def revoked(_run: Run, scenario: Described, folder: Path) -> Any:
    """A histogram over all connections and revocations."""
    picture, axis = plt.subplots(figsize=(9, 4.2), layout="constrained")
    first_ms, for_good_ms = [], []
    for each in read(folder):
        if each.scenario == scenario.name:
            first_ms += each.outcome.first_ms
            for_good_ms += each.outcome.latency_ms
    axis.set_title(f"{scenario.title}: {len(for_good_ms)} connections")
    span = (0.0, max([_BOUND_MS, *for_good_ms]) * 1.02)
    axis.hist(first_ms, bins=_BINS, range=span, color=_OTHER, alpha=0.6, label="first 401")
    axis.hist(
        for_good_ms, bins=_BINS, range=span, color=_COLOR, alpha=0.7, label="refused for good"
    )
    axis.axvline(_BOUND_MS, color="firebrick", linestyle="--", label="bound: 1 s")
    axis.set_xlabel("ms from the answer of the revocation")
    axis.set_ylabel("connections")
    axis.grid(alpha=0.3)
    picture.legend(loc="outside lower center", ncols=3)
    return picture


def _samples(scenario: Described, folder: Path) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for each in read(folder):
        if each.scenario == scenario.name:
            found.setdefault((each.system, each.load), []).extend(each.outcome.latency_ms)
    return found
