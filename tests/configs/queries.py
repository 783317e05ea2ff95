"""What a PromQL expression reads: metrics, their labels, and the labels that it leaves.

Not a parser: promtool checks the grammar. This finds the names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from helixflow.telemetry.metrics import METRICS, MetricKind
from tests.architecture.tree import ROOT

DASHBOARDS = ROOT / "configs" / "dashboards"
PROMETHEUS = ROOT / "configs" / "prometheus"

_WORDS = {"and", "bool", "group_left", "group_right", "offset", "or", "unless"}
_GROUP = re.compile(r"\b(by|without|on|ignoring)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![\w.:$])([a-zA-Z_:][\w:]*)\b(?!\s*\()\s*(\{[^}]*\})?")
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_AGGREGATE = re.compile(r"\b(sum|min|max|avg|count)\b\s*(by\b|\()")


@dataclass(frozen=True)
class Reading:
    """`selectors`: metrics and the labels asked of them; `grouped`: the labels of `by` and `on`."""

    selectors: tuple[tuple[str, frozenset[str]], ...]
    grouped: frozenset[str]
    aggregates: bool


def read(expression: str) -> Reading:
    grouped = {
        label.strip() for _, inside in _GROUP.findall(expression) for label in inside.split(",")
    }
    bare = _GROUP.sub(" ", expression)
    bare = re.sub(r"\[[^\]]*\]|\boffset\s+\w+", " ", bare)
    selectors = tuple(
        (name, frozenset(_LABEL.findall(matchers)))
        for name, matchers in _NAME.findall(bare)
        if name not in _WORDS
    )
    return Reading(selectors, frozenset(grouped) - {""}, bool(_AGGREGATE.search(expression)))


def metrics() -> dict[str, frozenset[str]]:
    """Every series that the platform exports, and Prometheus' own, with its labels."""
    found = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
    for metric, info in METRICS.items():
        labels = set(info.labels)
        if info.kind is MetricKind.HISTOGRAM:
            found[f"{metric}_bucket"] = labels | {"le"}
            found[f"{metric}_sum"] = found[f"{metric}_count"] = labels
        else:
            found[metric.value] = labels
    return {name: frozenset(labels) for name, labels in found.items()}


def rules() -> list[dict[str, Any]]:
    """Every rule, in the order of the files."""
    return [
        rule
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def leaves(expression: str, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The labels that the result may have."""
    reading = read(expression)
    if reading.aggregates or reading.grouped:
        return reading.grouped - {"le"}
    return frozenset[str]().union(*(known.get(name, frozenset()) for name, _ in reading.selectors))


def known_series() -> dict[str, frozenset[str]]:
    """`metrics` and what the rules record."""
    known, recorded = metrics(), [rule for rule in rules() if "record" in rule]
    for rule in recorded:  # twice over: a rule may read one that stands behind it
        known[rule["record"]] = frozenset()
    for rule in [*recorded, *recorded]:
        known[rule["record"]] = leaves(rule["expr"], known)
    return known


def complaints(expression: str, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """What an expression names that is not there."""
    reading = read(expression)
    if not reading.selectors:
        yield f"reads nothing: {expression}"
    there = frozenset[str]().union(*(known.get(name, frozenset()) for name, _ in reading.selectors))
    for name, labels in reading.selectors:
        if name not in known:
            yield f"no metric {name}: {expression}"
        elif strange := labels - known[name]:
            yield f"{name} has no {sorted(strange)}: {expression}"
    if strange := reading.grouped - there:
        yield f"nothing has {sorted(strange)}: {expression}"


def dashboards() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def targets() -> Iterator[tuple[str, str, str, str]]:
    """`(dashboard, panel, expression, legend)` of everything that is drawn."""
    for name, document in dashboards().items():
        for panel in document["panels"]:
            for target in panel.get("targets", ()):
                yield name, panel["title"], target["expr"], target["legendFormat"]
