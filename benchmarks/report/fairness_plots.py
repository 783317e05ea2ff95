"""Two tenants' service over time, with fair shares and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from benchmarks.report.samples import Sampled, read
from benchmarks.results import Described, Run

_COLORS = {"first": "#8a8f98", "second": "#1f6feb"}
_WORDS = {"first": "the tenant that came first", "second": "the one that came later"}


def service(_run: Run, scenario: Described, folder: Path) -> Any:
    """A panel for each engine and system; the last repeat of each."""
    last: dict[tuple[str, str], Sampled] = {}
    for each in read(folder):
        if each.scenario == scenario.name:
            last[each.load, each.system] = each
    rows, columns = len(scenario.loads), len(scenario.systems)
    picture, axes = plt.subplots(
        rows, columns, figsize=(5.5 * columns, 3.6 * rows), layout="constrained", squeeze=False,
        sharex="row", sharey="row",
    )  # fmt: skip
    picture.suptitle(scenario.title)
    for row, (load, engine) in enumerate(scenario.loads.items()):
        for column, (system, title) in enumerate(scenario.systems.items()):
            axis = axes[row][column]
            axis.set_title(f"{title}\n{engine.partition(',')[0]}", fontsize=10)
            axis.set_xlabel("seconds")
            axis.set_ylabel("service, weighted tokens")
            axis.grid(alpha=0.3)
            curves = last[load, system].outcome.curves if (load, system) in last else {}
            for tenant, color in _COLORS.items():
                if tenant in curves:
                    label = _WORDS[tenant]
                    axis.plot(curves["seconds"], curves[tenant], color=color, label=label)
    handles, labels = axes[0][0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=2)
    return picture
