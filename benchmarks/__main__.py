"""`python -m benchmarks`: run scenarios, write the report.

Systems run one after the other on loopback and are stopped by their process ids; nothing that this
program did not start is touched.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.report.headline import headline
from benchmarks.report.markdown import render
from benchmarks.results import Run
from benchmarks.runner import Runner, save
from benchmarks.scenarios.ceiling import ceiling
from benchmarks.scenarios.costs import COST_PARTS, costs
from benchmarks.scenarios.fairness import FAIRNESS, fairness
from benchmarks.scenarios.gateway import connections, floor, gateway, overload, peers, soak, stages
from benchmarks.scenarios.growth import GROWTH, INGRESSES, growth, ingresses
from benchmarks.scenarios.identity import (
    CPU,
    IDENTITY,
    KEYS,
    REVOCATION,
    cold_keys,
    revocation,
    warm_requests,
)
from benchmarks.scenarios.limits import LIMITS, limits
from benchmarks.scenarios.ports import Scenario
from benchmarks.scenarios.prompts import length_mix, long_prompts, shared_prefixes
from benchmarks.scenarios.real_model import llm_peers, real_model
from benchmarks.scenarios.start import start
from benchmarks.scenarios.telemetry import (
    COSTS,
    LAG,
    MEMORY,
    TELEMETRY,
    telemetry_costs,
    telemetry_lag,
    telemetry_memory,
)
from benchmarks.settings import CHECK, FULL, QUICK, RESULTS, Depth

SCENARIOS: dict[str, Callable[[Depth], Scenario]] = {
    "ceiling": ceiling,
    FAIRNESS: fairness,
    "gateway": gateway,
    "peers": peers,
    "floor": floor,
    "overload": overload,
    "stages": stages,
    GROWTH: growth,
    INGRESSES: ingresses,
    "connections": connections,
    "soak": soak,
    "real_model": real_model,
    "long_prompts": long_prompts,
    "shared_prefixes": shared_prefixes,
    "length_mix": length_mix,
    "llm_peers": llm_peers,
    "start": start,
    COST_PARTS: costs,
    CPU: warm_requests,
    KEYS: cold_keys,
    REVOCATION: revocation,
    LIMITS: limits,
    COSTS: telemetry_costs,
    MEMORY: telemetry_memory,
    LAG: telemetry_lag,
}
GROUPS = {
    "growths": (GROWTH, INGRESSES, "connections"),
    "prompts": ("real_model", "shared_prefixes", "length_mix", "long_prompts"),
    "identity": IDENTITY,
    "telemetry": TELEMETRY,
}
"""Several scenarios under one name."""
# Ten minutes. Neighbours share a system, as these first three do.
DEFAULT = ("gateway", "overload", GROWTH, "real_model", COST_PARTS)
# What a full run does not repeat: parts of others, or starts that others make too.
_PARTS = frozenset({"ceiling", "peers", "floor", "start", COST_PARTS})


def main(arguments: list[str] | None = None) -> int:
    """Entry. The exit status is 1 where a system could not be measured."""
    asked = _parser().parse_args(arguments)
    if asked.report is not None:
        for folder in asked.report:
            _write_report(folder)
        _say(headline([_read(folder) for folder in asked.report]))
        return 0
    depth = CHECK if asked.check else FULL if asked.full else QUICK
    folder = RESULTS / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    folder.mkdir(parents=True)
    runner = Runner(folder, _say, full=depth.full)
    try:
        names = chosen(asked.scenario, full=depth.full)
        runner.measure_all([SCENARIOS[name](depth) for name in names])
    finally:
        runner.close()
        save(runner.run, folder)
        _write_report(folder)
        if (reached := headline([runner.run], whole=False)).count("\n") > 1:
            _say(reached)
    return 1 if any(visit.fault for visit in runner.run.visits) else 0


def chosen(names: list[str] | None, *, full: bool = False) -> list[str]:
    """The scenarios that were asked for, groups taken apart; for none those of `make bench`, or of
    `make bench-full`: all."""
    usual = [name for name in SCENARIOS if name not in _PARTS] if full else DEFAULT
    return [each for name in names or usual for each in GROUPS.get(name, (name,))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--full", action="store_true", help="more visits, longer and more loads")
    depth.add_argument("--check", action="store_true", help="everything once, for a second each")
    parser.add_argument(
        "--scenario", action="append", choices=[*SCENARIOS, *GROUPS], help="only this (repeatable)"
    )
    parser.add_argument(
        "--report",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="write the reports of finished runs again, and print what they reach together",
    )
    return parser


def _read(folder: Path) -> Run:
    return msgspec.json.decode((folder / "results.json").read_bytes(), type=Run)


def _write_report(folder: Path) -> None:
    run = _read(folder)
    try:
        from benchmarks.report.plots import draw

        plots = draw(run, folder)
    except ImportError:
        _say("matplotlib is not installed: no plots")
        plots = []
    (folder / "report.md").write_text(render(run, plots), encoding="utf-8")
    _say(f"report: {folder / 'report.md'}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
