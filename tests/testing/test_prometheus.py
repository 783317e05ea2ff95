"""The launcher of a real Prometheus: where its programs come from, and what it says without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helixflow.testing.prometheus import PrometheusServer, find_programs
from tests.architecture.tree import ROOT


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def tools(folder: Path, apt: str, dpkg: str = "exit 0") -> str:
    """A PATH with an apt-get and a dpkg that do what the test wants."""
    program(folder / "apt-get", apt)
    program(folder / "dpkg", dpkg)
    return f"{folder}"


DOWNLOAD = 'case "$*" in *download*) : > p.deb;; esac'
UNPACK = "/bin/mkdir -p unpacked/usr/bin && : > unpacked/usr/bin/prometheus && : > unpacked/usr/bin/promtool"


def test_programs_on_the_path_are_taken(tmp_path: Path) -> None:
    for name in ("prometheus", "promtool"):
        program(tmp_path / "bin" / name, "exit 0")
    found = find_programs(tmp_path / "cache", str(tmp_path / "bin"))
    assert found["promtool"] == tmp_path / "bin" / "promtool"
    assert not (tmp_path / "cache").exists()


def test_debians_package_is_unpacked_once(tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", f"echo >> {tmp_path}/calls; {DOWNLOAD}", UNPACK)
    for _ in range(2):
        found = find_programs(tmp_path / "cache", path)
        assert all(one.exists() for one in found.values())
    assert (tmp_path / "calls").read_text() == "\n"
    assert {one.name for one in (tmp_path / "cache").iterdir()} == {
        "lock",
        "prometheus",
        "promtool",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can update apt's lists")
def test_a_machine_without_lists_of_packages_gets_them(tmp_path: Path) -> None:
    known = tmp_path / "known"
    apt = f'case "$*" in *update*) : > {known};; *) [ -e {known} ] && : > p.deb;; esac'
    found = find_programs(tmp_path / "cache", tools(tmp_path / "bin", apt, UNPACK))
    assert known.exists()
    assert found["prometheus"].exists()


@pytest.mark.parametrize(
    ("apt", "dpkg", "why"),
    [
        ("echo no network >&2; exit 100", "exit 0", "could not fetch them: no network"),
        (DOWNLOAD, "echo no room >&2; exit 2", "could not unpack them: no room"),
    ],
)
def test_where_they_cannot_be_had_one_is_told_what_to_install(
    tmp_path: Path, apt: str, dpkg: str, why: str
) -> None:
    with pytest.raises(RuntimeError, match=why) as raised:
        find_programs(tmp_path / "cache", tools(tmp_path / "bin", apt, dpkg))
    assert "apt-get install prometheus" in str(raised.value)


def test_without_apt_one_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no apt-get") as raised:
        find_programs(tmp_path / "cache", str(tmp_path))
    assert "apt-get install prometheus" in str(raised.value)


def test_a_server_answers_and_stops(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    found = find_programs(ROOT / ".helixflow" / "prometheus")
    with PrometheusServer(found["prometheus"], config) as server:
        (series,) = server.query("vector(2)")
        assert series["value"][1] == "2"
        assert server.targets() == {}
        with pytest.raises(ValueError, match="parse error"):
            server.query("sum(")
    server.stop()
    with pytest.raises(OSError, match="refused"):
        server.query("vector(2)")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text("nothing: like this\n")
    found = find_programs(ROOT / ".helixflow" / "prometheus")
    server = PrometheusServer(found["prometheus"], config)
    with pytest.raises(RuntimeError, match="nothing not found"), server:
        pass
