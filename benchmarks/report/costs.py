"""What a system takes: CPU by what its processes are, and their memory."""

from __future__ import annotations

from benchmarks.report.numbers import NONE, shown
from benchmarks.report.tables import table
from benchmarks.results import Described, Measurement, Run
from benchmarks.stats.spread import Figure, figure

_LOADS = ("c32", "s32", "large")
"""Where CPU is shown by process: the load of a scenario that keeps it busy."""
_PARTS_MAX = 12


def cost_tables(run: Run) -> list[str]:
    """CPU per request by process, and memory by process, of every system that was visited."""
    found: list[str] = []
    for scenario in run.scenarios:
        busy = [load for load in _LOADS if load in scenario.loads]
        found += [_cpu(run, scenario, load) for load in busy]
        found.append(_memory(run, scenario))
    return [each for each in found if each]


def _cpu(run: Run, scenario: Described, load: str) -> str:
    """Processes down, systems across; ms per request."""
    by_system = {
        system: [
            each
            for each in run.measurements
            if (each.scenario, each.system, each.load) == (scenario.name, system, load)
            and each.cpu_ms
        ]
        for system in scenario.systems
    }
    kinds = {kind for some in by_system.values() for each in some for kind in each.cpu_ms}
    rows = {kind: [_part(some, kind) for some in by_system.values()] for kind in kinds}
    first = sorted(rows, key=lambda kind: -max(_middle(each) for each in rows[kind]))
    if not first:
        return ""
    title = f"{scenario.name}, {scenario.loads[load]}: CPU per request, ms"
    head = [title, *scenario.systems.values()]
    return table(
        head,
        [
            [kind, *("" if not _middle(each) else shown(each) for each in rows[kind])]
            for kind in first[:_PARTS_MAX]
        ],
    )


def _part(some: list[Measurement], kind: str) -> Figure | None:
    return figure([each.cpu_ms.get(kind, 0.0) for each in some])


def _middle(seen: Figure | None) -> float:
    return 0.0 if seen is None else seen.median


def _memory(run: Run, scenario: Described) -> str:
    """Each system in a line: its processes and what they hold, the largest first."""
    rows = []
    for system, title in scenario.systems.items():
        visits = [
            each
            for each in run.visits
            if (each.scenario, each.system) == (scenario.name, system) and each.processes
        ]
        if not visits:
            continue
        last = sorted(visits[-1].processes.items(), key=lambda each: -each[1][1])
        parts = [
            f"{kind}{f' x{count}' if count > 1 else ''} {mib:,.0f}"
            for kind, (count, mib) in last[:_PARTS_MAX]
        ]
        rest = sum(mib for _, (_, mib) in last[_PARTS_MAX:])
        if rest:
            parts.append(f"others {rest:,.0f}")
        whole = figure([each.memory_mib for each in visits])
        rows.append([title, shown(whole) if whole else NONE, ", ".join(parts)])
    if not rows:
        return ""
    head = [f"{scenario.name}: memory (PSS)", "all, MiB", "by process in the last visit, MiB"]
    return table(head, rows)
