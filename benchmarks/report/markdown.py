"""`report.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from benchmarks.report import limits_table
from benchmarks.report.costs import cost_tables
from benchmarks.report.headline import OURS, TRIVIAL, headline
from benchmarks.report.limits_table import is_accuracy
from benchmarks.report.numbers import NONE, shown
from benchmarks.report.reach import goals
from benchmarks.report.tables import table
from benchmarks.results import Described, Run
from benchmarks.stats.spread import figure

# Key, title, and whether a ratio says something.
_ROWS = (
    ("requests_per_s", "requests/s", True),
    ("tokens_per_s", "tokens/s", True),
    ("latency_p50_ms", "latency p50, ms", True),
    ("latency_p99_ms", "latency p99, ms", True),
    ("first_token_p50_ms", "first token p50, ms", True),
    ("first_token_p99_ms", "first token p99, ms", True),
    ("between_tokens_p50_ms", "between tokens p50, ms", True),
    ("between_tokens_p99_ms", "between tokens p99, ms", True),
    ("stall_max_ms", "longest silence, ms", True),
    ("tokens_per_delivery", "tokens per delivery", False),
    ("refused", "refused", False),
    ("refused_p50_ms", "refused after, p50, ms", False),
    ("refused_p99_ms", "refused after, p99, ms", False),
    *(
        (f"{stage}_us", f"{title}, µs", False)
        for stage, title in (
            ("whole", "the client waits"),
            ("outside", "outside the pipeline: HAProxy, sockets, Serve, HTTP"),
            ("authenticate", "authenticate"),
            ("parse", "parse the body"),
            ("resolve", "resolve the model"),
            ("authorize", "ask the policies"),
            ("reserve", "take from five limits"),
            ("first_token", "hop to the model's replica, queue, engine, and back"),
            ("rest", "the rest of the answer"),
            ("settle", "settle and journal"),
        )
    ),
    ("memory_mib", "memory of all processes (PSS), MiB", False),
    ("open_files", "open files of all processes", False),
    ("prompt_tokens_mean", "tokens of a prompt, mean", False),
    ("cached_share", "share of prompt tokens from a prefix cache", False),
    ("cpu_ms_per_request", "CPU per request, ms", False),
    ("cpu_ms_per_1000_tokens", "CPU per 1,000 tokens, ms", False),
    ("added_us", "CPU added to a request, µs", False),
    ("added_chunk_us", "CPU added to a chunk, µs", False),
    ("events_per_s", "events/s", True),
    ("events_per_cpu_s", "events per second of CPU", True),
    ("records_per_s", "records/s", True),
    ("lag_p50_s", "journal lag p50, s", False),
    ("lag_p99_s", "journal lag p99, s", False),
    ("lag_max_s", "journal lag, longest, s", False),
    ("memory_growth_mib", "memory growth from the first half to the second, MiB", False),
    ("memory_level_mib", "memory in the second half, MiB", False),
    ("added_block_p99_us", "the same, slowest 1 % of blocks, µs", False),
    ("look_up_p50_ms", "cold look-up p50, ms", False),
    ("look_up_p99_ms", "cold look-up p99, ms", False),
    ("look_up_cpu_ms", "CPU of a cold look-up (without the server's), ms", False),
    ("warm_us", "CPU of a warm authentication, µs", False),
    ("revoked_first_p50_ms", "first refusal p50, ms", False),
    ("revoked_p50_ms", "refused for good p50, ms", False),
    ("revoked_p99_ms", "refused for good p99, ms", False),
    ("revoked_max_ms", "refused for good, last, ms", False),
    ("accepted_after", "accepted after the answer, per revocation", False),
    ("limits_us", "CPU added by limits, heartbeats included, µs", False),
    ("limits_store_us", "CPU in the store per request, µs", False),
    ("limits_exchanges", "exchanges with the store per 1,000 requests", False),
    ("limits_exchanges_known", "the same beside those that a new caller waited for", False),
    ("limits_waits", "requests per 1,000 that waited for one", False),
    ("limits_new", "requests per 1,000 of callers that this process did not know", False),
    ("trickle_wait_max_ms", "a trickle's longest wait in the queue, ms", True),
    ("wait_in_sequences", "the same, in the time of a sequence", False),
    ("drift_tokens", "drift of two floods' service, weighted tokens", True),
    ("drift_of_bound", "the same, beside the paper's bound", False),
)


def render(run: Run, plots: Sequence[str] = ()) -> str:
    """The whole report; `plots` are names of picture files beside it."""
    parts = [
        "# HelixFlow beside its peers",
        _preamble(run),
        "## What is promised",
        headline([run]),
        "## What is to be reached, part by part",
        _reach(run),
        *(f"![{plot}]({plot})" for plot in plots),
    ]
    for scenario in run.scenarios:
        parts += [f"## {scenario.title}", *_scenario(run, scenario)]
    if tables := cost_tables(run):
        parts += ["## What it costs", *tables]
    parts += ["## Starting and stopping", _visits(run), "## Made with", _made_with(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _preamble(run: Run) -> str:
    machine = run.machine
    return (
        f"{run.started}, {run.duration_s / 60:.0f} minutes, commit {run.versions.get('commit')}. "
        f"{machine.get('processor')}, {machine.get('cores')} cores, "
        f"{machine.get('memory_gib')} GiB; the load generator runs on the same cores. Load average "
        f"before: {machine.get('load_average_before')}.\n\n"
        "Every figure is a median of repeats with the lowest and the highest in brackets. A ratio "
        "is taken repeat by repeat between neighbours in time, ours divided by theirs. Everything "
        'but what says "in process" is measured at the client\'s socket, and every answer is '
        "checked."
    )


def _reach(run: Run) -> str:
    rows, others = [], []
    for goal in goals(run):
        if goal.measured is None:
            others.append(goal.what)
            continue
        sign = "≥" if goal.at_least else "<"
        rows.append(
            [
                goal.what,
                f"{sign} {goal.target:g} {goal.unit}",
                shown(goal.measured),
                goal.verdict,
            ]
        )
    shown_ = table(["what", "reach", "measured", "verdict"], rows)
    return f"{shown_}\n\nNot measured here: {'; '.join(others)}." if others else shown_


def _scenario(run: Run, scenario: Described) -> list[str]:
    parts = []
    exact = {each.load for each in run.measurements if is_accuracy(each)}
    for load, title in scenario.loads.items():
        rows = [] if load in exact else list(_load_rows(run, scenario, load))
        if rows:
            head = [title, *scenario.systems.values(), *_ratio_heads(scenario)]
            parts.append(table(head, rows))
    if exact & set(scenario.loads):
        parts.append(table(limits_table.HEAD, limits_table.rows(run)))
    parts.append(_checks(run, scenario))
    return parts


def _ratio_heads(scenario: Described) -> list[str]:
    return [f"ratio to {scenario.systems[name]}" for name in _references(scenario)]


def _references(scenario: Described) -> list[str]:
    """What ours is set beside. A server that does nothing is no measure of anybody."""
    others = [name for name in scenario.systems if name not in (OURS, TRIVIAL)]
    return others if OURS in scenario.systems else []


def _load_rows(run: Run, scenario: Described, load: str) -> Iterable[list[str]]:
    streamed = _any(run, scenario, load, "first_token_p50_ms")
    for name, title, compared in _ROWS:
        if not _any(run, scenario, load, name) or (name == "tokens_per_s" and not streamed):
            continue
        systems = scenario.systems
        cells = [shown(figure(run.series(scenario.name, key, load, name))) for key in systems]
        for reference in _references(scenario):
            ratio = run.ratio(scenario.name, OURS, reference, load, name)
            cells.append(shown(ratio) if compared else NONE)
        yield [title, *cells]


def _any(run: Run, scenario: Described, load: str, name: str) -> bool:
    return any(run.series(scenario.name, key, load, name) for key in scenario.systems)


def _checks(run: Run, scenario: Described) -> str:
    """What was answered wrongly, and whether the generator kept up."""
    mine = [each for each in run.measurements if each.scenario == scenario.name]
    if not mine:
        return "Nothing was measured."
    answered = sum(each.figures["answered"] for each in mine)
    errors: dict[str, int] = {}
    for each in mine:
        for kind, count in each.errors.items():
            key = f"{scenario.systems[each.system]}: {kind}"
            errors[key] = errors.get(key, 0) + count
    wrong = ", ".join(f"{kind} {count}" for kind, count in errors.items()) or "none"
    right = f"{answered:,.0f} right answers; wrong ones: {wrong}."
    lags = [lag for each in mine if (lag := each.figures.get("generator_lag_p99_ms")) is not None]
    if not lags:
        return right
    busy = max(each.figures.get("generator_core_share", 0.0) for each in mine)
    return (
        f"{right} The load generator used at most {busy:.0%} of a core; its own event loop woke "
        f"up at most {max(lags):.1f} ms late (p99)."
    )


def _visits(run: Run) -> str:
    rows = []
    for scenario in run.scenarios:
        for name, title in scenario.systems.items():
            mine = [v for v in run.visits if (v.scenario, v.system) == (scenario.name, name)]
            good = [visit for visit in mine if not visit.fault]
            rows.append(
                [
                    f"{title} ({scenario.name})",
                    shown(figure([v.ready_s for v in good if not v.shared])),
                    shown(figure([v.first_token_s for v in good if v.first_token_s])),
                    shown(figure([v.stop_s for v in good if v.stop_s])),
                    shown(figure([v.memory_mib for v in good if v.memory_mib])),
                    str(sum(v.left for v in good if v.system == OURS)),
                    "; ".join(sorted({v.fault for v in mine if v.fault})) or "none",
                ]
            )
    head = [
        "system", "ready, s", "first token, s", "stop, s", "memory (PSS), MiB",
        "processes left", "faults",
    ]  # fmt: skip
    return table(head, rows)


def _made_with(run: Run) -> str:
    words = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    lines = [f"Python {run.machine.get('python')}, Linux {run.machine.get('kernel')}, {words}."]
    seen: set[tuple[str, str]] = set()
    for visit in run.visits:
        place = (visit.scenario, visit.system)
        if visit.facts and place not in seen:
            seen.add(place)
            facts = {k: v for k, v in visit.facts.items() if k not in {"steps", "command_s"}}
            lines.append(f"- `{visit.scenario}/{visit.system}`: `{json.dumps(facts)}`")
    return "\n".join(lines)
