"""Pictures of a run: bars with the range of the repeats, every repeat as a dot, and latencies as
cumulative shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from msgspec.structs import replace

from benchmarks.report import fairness_plots, identity_plots
from benchmarks.report.headline import TRIVIAL
from benchmarks.report.samples import read
from benchmarks.results import Described, Run
from benchmarks.stats.spread import figure

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

_OTHERS = ("#8a8f98", "#c58b2a", "#7a5195", "#2a9d8f", "#b56576")
_OURS = "#1f6feb"
_DPI = 130
_POINTS_MAX = 4000


def draw(run: Run, folder: Path) -> list[str]:
    """Draw what the run measured; names of the files, in the order of the report."""
    drawn: list[str] = []
    for scenario in run.scenarios:
        painter = _PAINTERS.get(scenario.name)
        if painter is None or not any(m.scenario == scenario.name for m in run.measurements):
            continue
        picture = painter(run, _compared(scenario), folder)
        name = f"{scenario.name}.png"
        picture.savefig(folder / name, dpi=_DPI)
        plt.close(picture)
        drawn.append(name)
    if steps := [visit for visit in run.visits if visit.first_token_s and "steps" in visit.facts]:
        picture = _start(run, steps)
        picture.savefig(folder / "start.png", dpi=_DPI)
        plt.close(picture)
        drawn.append("start.png")
    return drawn


def _compared(scenario: Described) -> Described:
    """Without the server that does nothing, beside which no other bar would be seen."""
    systems = {name: title for name, title in scenario.systems.items() if name != TRIVIAL}
    return replace(scenario, systems=systems)


def _gateway(run: Run, scenario: Described, folder: Path) -> Any:
    picture, axes = plt.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    picture.suptitle(f"{scenario.title}: requests per second, and latency of every request")
    latencies: dict[tuple[str, str], list[float]] = {}
    for each in read(folder):
        if each.scenario == scenario.name:
            latencies.setdefault((each.load, each.system), []).extend(each.outcome.latency_ms)
    for column, (load, title) in enumerate(list(scenario.loads.items())[:3]):
        streams = load.startswith("s")
        unit = "streams per second" if streams else "requests per second"
        _bars(axes[0][column], run, scenario, [(load, title)], "requests_per_s", unit)
        axis = axes[1][column]
        for index, (system, name) in enumerate(scenario.systems.items()):
            values = sorted(latencies.get((load, system), []))
            step = max(1, len(values) // _POINTS_MAX)
            shares = [(rank + 1) / len(values) for rank in range(len(values))]
            axis.plot(values[::step], shares[::step], color=_color(scenario, index), label=name)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_ylim(0, 1.01)
        axis.set_xlabel(("whole stream" if streams else "latency") + ", ms (log scale)")
        axis.set_ylabel("share of requests")
        axis.grid(alpha=0.3)
    _legend(picture, axes[0][0])
    return picture


def _real_model(run: Run, scenario: Described, _folder: Path) -> Any:
    picture, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    picture.suptitle(scenario.title)
    loads = list(scenario.loads.items())
    _bars(axes[0], run, scenario, loads, "tokens_per_s", "tokens per second, all streams")
    _bars(axes[1], run, scenario, loads, "first_token_p50_ms", "time to first token, p50, ms")
    label = "time between tokens, p50, ms"
    _bars(axes[2], run, scenario, loads, "between_tokens_p50_ms", label)
    _legend(picture, axes[0])
    return picture


def _legend(picture: Any, axis: Any) -> None:
    """One legend below all panels, where it covers nothing."""
    handles, labels = axis.get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def _bars(
    axis: Any, run: Run, scenario: Described, loads: list[tuple[str, str]], name: str, unit: str
) -> None:
    width = 0.8 / len(scenario.systems)
    for index, (system, title) in enumerate(scenario.systems.items()):
        places, heights, below, above = [], [], [], []
        for place, (load, _) in enumerate(loads):
            values = run.series(scenario.name, system, load, name)
            seen = figure(values)
            if seen is None:
                continue
            at = place + (index - (len(scenario.systems) - 1) / 2) * width
            axis.scatter([at] * len(values), values, color="black", s=7, zorder=3, alpha=0.6)
            places.append(at)
            heights.append(seen.median)
            below.append(seen.median - seen.low)
            above.append(seen.high - seen.median)
        axis.bar(
            places, heights, width * 0.92, yerr=[below, above], capsize=4,
            color=_color(scenario, index), label=title,
        )  # fmt: skip
    axis.set_xticks(range(len(loads)), [title for _, title in loads])
    axis.set_ylabel(unit)
    axis.set_ylim(bottom=0)
    axis.grid(axis="y", alpha=0.3)


def _start(run: Run, visits: list[Any]) -> Any:
    picture, axis = plt.subplots(figsize=(11, 0.5 * len(visits) + 2), layout="constrained")
    steps = [_steps(visit) for visit in visits]
    names = list(dict.fromkeys(name for each in steps for name in each))
    palette = plt.get_cmap("tab10")
    left = [0.0] * len(visits)
    for index, name in enumerate(names):
        widths = [each.get(name, 0.0) for each in steps]
        axis.barh(range(len(visits)), widths, 0.6, left, color=palette(index % 10), label=name)
        left = [at + width for at, width in zip(left, widths, strict=True)]
    firsts = [visit.first_token_s for visit in visits]
    axis.plot(
        firsts, range(len(visits)), "k|", markersize=15, markeredgewidth=2, label="first token"
    )
    axis.axvline(60, color="firebrick", linestyle="--", linewidth=1, label="reach: 60 s")
    titles = {each.name: each.title.partition(",")[0] for each in run.scenarios}
    labels = [f"{titles[visit.scenario]}, visit {visit.visit + 1}" for visit in visits]
    axis.set_yticks(range(len(visits)), labels)
    axis.invert_yaxis()
    axis.set_xlabel("seconds from `helixflow up`")
    axis.set_xlim(left=0)
    axis.set_title("What a start consists of")
    picture.legend(loc="outside lower center", ncols=4, fontsize=9)
    return picture


def _steps(visit: Any) -> dict[str, float]:
    """The steps of `up`, under names that do not depend on the model."""
    steps = {"Python and the command line": float(visit.facts.get("command_s", 0.0))}
    for name, seconds in visit.facts["steps"].items():
        known = "First answer" if name.startswith("First answer") else name
        steps[known] = steps.get(known, 0.0) + seconds
    return steps


def _color(scenario: Described, index: int) -> str:
    """Ours, the last one, has the same color everywhere."""
    if index == len(scenario.systems) - 1:
        return _OURS
    return _OTHERS[index % len(_OTHERS)]


_PAINTERS: dict[str, Callable[[Run, Described, Path], Any]] = {
    "gateway": _gateway,
    "peers": _gateway,
    "floor": _gateway,
    "real_model": _real_model,
    "llm_peers": _real_model,
    "long_prompts": _real_model,
    "shared_prefixes": _real_model,
    "identity_cpu": identity_plots.added,
    "identity_keys": identity_plots.cold,
    "identity_revocation": identity_plots.revoked,
    "fairness": fairness_plots.service,
}
