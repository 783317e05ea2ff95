"""Whatever is imported is pinned: nothing is here only because somebody installed it by hand."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from .tree import ALL, ROOT, imports, sources

OURS = {"helixflow", "deployments", "cluster", "tests", "benchmarks"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(*lists: str) -> dict[str, str]:
    """`name -> version` of the pinned lists."""
    found = {}
    for name in lists:
        for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                title, _, version = line.partition("==")
                assert version, f"{name}.txt: {line} is not pinned"
                found[canonical(title.partition("[")[0])] = version
    return found


def test_everything_that_is_imported_is_pinned() -> None:
    homes, known = packages_distributions(), OURS | sys.stdlib_module_names
    pinned = pins("cpu", "torch-cpu", "test", "bench")
    missing = {
        f"{top} ({source.path})"
        for source in sources(*ALL)
        for _, target in imports(source)
        if (top := target.split(".")[0]) not in known
        and not any(canonical(home) in pinned for home in homes.get(top, []))
    }
    assert missing == set()


def test_the_lists_cover_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for lists, wanted in (
        (("cpu", "torch-cpu"), [*project["dependencies"], *extras["cpu"]]),
        (("gpu",), [*project["dependencies"], *extras["gpu"]]),
        (("cpu", "test"), extras["test"]),
    ):
        names = {canonical(re.split(r"[\[<>=! ]", word)[0]) for word in wanted}
        assert names - set(pins(*lists)) == set()


def test_a_package_in_two_lists_has_one_version() -> None:
    lists = [pins(name) for name in ("cpu", "gpu", "test", "bench")]
    for one in lists:
        for other in lists:
            assert all(other.get(name, version) == version for name, version in one.items())
