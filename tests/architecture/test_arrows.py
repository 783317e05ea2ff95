"""The import arrows: a row may import rows below it, and names in one row never each other."""

from __future__ import annotations

import pytest

from .tree import PRODUCT, Source, imports, sources

ROWS = (
    ("cli",),
    ("deployments", "cluster"),
    ("gateway", "handle", "testing"),
    ("storage",),
    ("identity", "limits", "routing", "engine", "telemetry"),
    ("signals", "crypto"),
    ("inference", "api"),
    ("settings",),
    ("errors", "clock", "ids"),
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}


def part_of(dotted: str) -> str | None:
    """The name in `ROWS` that a module belongs to, or None where it is none of ours."""
    first, _, rest = dotted.partition(".")
    if first == "helixflow":
        return rest.partition(".")[0] or "helixflow"
    return first if first in ROW_OF else None


def module_of(source: Source) -> str:
    return source.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("source", sources(*PRODUCT), ids=lambda source: source.path)
def test_imports_point_down(source: Source) -> None:
    mine = part_of(module_of(source))
    if mine == "helixflow":
        return  # the front page of the package: it hands on `connect` when it is asked for
    assert mine in ROW_OF, f"{source.path} has no place in the rows"
    for line, target in imports(source):
        theirs = part_of(target)
        if theirs in (None, mine) or (theirs == "helixflow" and mine != "handle"):
            continue
        assert theirs in ROW_OF, f"{source.path}:{line} imports {target}, which is in no row"
        assert ROW_OF[theirs] > ROW_OF[mine], (
            f"{source.path}:{line}: {mine} imports {target}, which is not below it"
        )


def test_an_arrow_that_points_up_is_seen() -> None:
    assert ROW_OF["gateway"] < ROW_OF["engine"] < ROW_OF["inference"] < ROW_OF["errors"]
    assert part_of("helixflow.gateway.http.app") == "gateway"
    assert part_of("deployments.app") == "deployments"
    assert part_of("starlette") is None


@pytest.mark.parametrize("source", sources("helixflow", "deployments"), ids=lambda s: s.path)
def test_no_part_imports_the_tests(source: Source) -> None:
    assert not [target for _, target in imports(source) if target.split(".")[0] == "tests"]


@pytest.mark.parametrize(
    "source",
    [s for s in sources(*PRODUCT) if not s.path.startswith("helixflow/testing/")],
    ids=lambda source: source.path,
)
def test_no_part_of_the_running_product_imports_the_fakes(source: Source) -> None:
    assert not [target for _, target in imports(source) if target.startswith("helixflow.testing")]
