"""The rules of configs/prometheus: promtool takes them, they read what exists, and each one fires."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from helixflow.errors import Refusal
from helixflow.gateway.http.errors import STATUS
from helixflow.telemetry.metrics import METRICS, Metric

from .queries import PROMETHEUS, ROOT, complaints, known_series, leaves, metrics, read, rules

CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))
ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDS = [rule for rule in rules() if "record" in rule]


def run(program: Path, *words: object) -> None:
    done = subprocess.run(
        [str(program), *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules(programs: dict[str, Path]) -> None:
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    assert len(files) == 3
    run(programs["promtool"], "check", "rules", *files)


def test_promtool_takes_the_configuration(programs: dict[str, Path], tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a key")
    text = (PROMETHEUS / "prometheus.yml").read_text()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        text.replace("/etc/prometheus/helixflow/key", str(key)).replace(
            "rules/*.yml", f"{PROMETHEUS}/rules/*.yml"
        )
    )
    run(programs["promtool"], "check", "config", config)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_rules_answer_as_they_should(programs: dict[str, Path], case: Path) -> None:
    run(programs["promtool"], "test", "rules", case)


def alert_cases() -> list[dict[str, Any]]:
    return [
        alert
        for path in CASES
        for case in yaml.safe_load(path.read_text())["tests"]
        for alert in case.get("alert_rule_test", ())
    ]


def test_every_alert_is_seen_to_fire_and_to_keep_silent() -> None:
    names = {rule["alert"] for rule in ALERTS}
    assert {case["alertname"] for case in alert_cases() if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in alert_cases() if not case.get("exp_alerts")} == names


def test_rules_read_only_what_exists() -> None:
    known = known_series()
    assert [word for rule in rules() for word in complaints(rule["expr"], known)] == []


def test_what_an_alert_says_names_only_labels_that_it_has() -> None:
    known = known_series()
    for rule in ALERTS:
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        reading = read(rule["expr"])
        absent = {label for _, labels in reading.selectors for label in labels}
        has = absent if "absent(" in rule["expr"] else leaves(rule["expr"], known)
        assert named <= has, rule["alert"]


def test_names_are_used_once() -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert sorted(names) == sorted(set(names))


def test_recorded_names_never_look_like_metrics() -> None:
    assert all(rule["record"].count(":") == 2 for rule in RECORDS)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_page_of_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_the_availability_objective_counts_every_refusal_that_is_the_platforms_fault() -> None:
    (rule,) = (rule for rule in RECORDS if rule["record"] == "helixflow:requests_bad:rate5m")
    (listed,) = re.findall(r'outcome=~"([^"]+)"', rule["expr"])
    faults = {reason for reason, status in STATUS.items() if status >= 500}
    assert set(listed.split("|")) == faults - {Refusal.SLOW_READER}


def test_words_that_rules_match_are_refusals_or_outcomes() -> None:
    others = ("verdict_lookups", "spans_total")  # whose outcomes are words of their own
    words = {
        word
        for rule in rules()
        for listed in re.findall(r'(?:outcome|reason)=~?"([^"]+)"', rule["expr"])
        for word in listed.split("|")
        if not any(metric in rule["expr"] for metric in others)
    }
    assert words <= {"ok", "canceled", *Refusal}


def test_the_latency_objective_is_a_bound_of_the_histogram() -> None:
    bounds = METRICS[Metric.TIME_TO_FIRST_TOKEN_SECONDS].buckets
    matched = {found for rule in rules() for found in re.findall(r'\ble="([^"]+)"', rule["expr"])}
    assert matched <= {repr(bound) for bound in bounds}


def test_a_name_or_a_label_that_is_not_there_is_seen() -> None:
    known = metrics()
    for wrong in (
        "sum(helixflow_nothing)",
        'helixflow_requests_total{tenant="a"}',
        "sum by (user) (rate(helixflow_requests_total[5m]))",
        "1 + 2",
    ):
        assert list(complaints(wrong, known))
    right = 'sum by (model, le) (rate(helixflow_queue_wait_seconds_bucket{model=~"a.*"}[5m])) > 1e3'
    assert list(complaints(f"{right} or on () up offset 5m", known)) == []
