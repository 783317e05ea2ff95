"""The dashboards of configs/dashboards: as their script writes them, and about what exists."""

from __future__ import annotations

import re
import runpy
from itertools import combinations
from typing import Any

import pytest

from .queries import (
    DASHBOARDS,
    ROOT,
    complaints,
    dashboards,
    known_series,
    leaves,
    rules,
    targets,
)

NAMES = ["models", "platform", "reliability", "security", "tenants"]


def test_the_files_are_what_the_script_writes() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "dashboards.py"))["documents"]()
    assert sorted(written) == [f"{name}.json" for name in NAMES]
    assert {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")} == written


def test_queries_read_only_what_exists() -> None:
    known = known_series()
    assert [word for *_, query, _ in targets() for word in complaints(query, known)] == []


def test_legends_name_only_labels_that_are_left() -> None:
    known = known_series()
    for dashboard, panel, query, legend in targets():
        named = set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert named <= leaves(query, known), (dashboard, panel)


@pytest.mark.parametrize("name", NAMES)
def test_variables_are_there_and_ask_for_what_exists(name: str) -> None:
    document, known = dashboards()[name], known_series()
    variables = {one["name"]: one for one in document["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    used = set(re.findall(r"\$\{?(\w+)", str(document["panels"])))
    assert used - {"__rate_interval"} <= set(variables)
    for variable in variables.values():
        if variable["type"] == "query":
            metric, label = re.fullmatch(
                r"label_values\((\w+), (\w+)\)", variable["query"]
            ).groups()  # type: ignore[union-attr]
            assert label in known[metric]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_a_place_and_an_id_of_their_own(name: str) -> None:
    panels: list[dict[str, Any]] = dashboards()[name]["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    assert not any(overlap(one, other) for one, other in combinations(places, 2))


def test_panels_that_touch_do_not_overlap() -> None:
    left = {"x": 0, "y": 0, "w": 12, "h": 8}
    assert not overlap(left, {"x": 12, "y": 0, "w": 12, "h": 8})
    assert not overlap(left, {"x": 0, "y": 8, "w": 12, "h": 8})
    assert overlap(left, {"x": 11, "y": 7, "w": 2, "h": 2})


@pytest.mark.parametrize("name", NAMES)
def test_panels_ask_the_chosen_prometheus(name: str) -> None:
    for panel in dashboards()[name]["panels"]:
        if panel["type"] == "text":
            continue
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_dashboards_have_names_of_their_own() -> None:
    documents = dashboards().values()
    assert len({document["uid"] for document in documents}) == len(NAMES)
    assert len({document["title"] for document in documents}) == len(NAMES)


def budgets(expressions: list[str]) -> set[tuple[str, str]]:
    found = [
        re.findall(r"(\w+_bad):ratio\w+ (?:/|>)[^0-9]*(?:[0-9.]+ \* )?(0\.\d+)", one)
        for one in expressions
    ]
    return {pair for pairs in found for pair in pairs}


def test_burn_rates_are_drawn_for_the_budgets_that_the_rules_have() -> None:
    objectives = {("requests_bad", "0.001"), ("first_tokens_bad", "0.01")}
    assert budgets([query for _, _, query, _ in targets()]) == objectives
    assert budgets([rule["expr"] for rule in rules()]) == objectives
