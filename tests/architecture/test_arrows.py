"""The import arrows: a row may import rows below it, and names in one row never each other."""

from __future__ import annotations

from .tree import PRODUCT, Source, imports, sources

ROWS = (
    ("cli",),
    ("deployments", "cluster"),
    ("testing",),
    ("gateway", "handle"),
    ("storage",),
    ("identity", "limits", "routing", "engine", "telemetry"),
    ("signals", "crypto", "direct"),
    ("inference", "api"),
    ("settings",),
    ("tiers",),
    ("errors", "clock", "ids"),
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}

# The front page of the package: the version, and `connect` for those who ask for it.
FRONT_PAGE = "helixflow"


def part_of(dotted: str) -> str | None:
    """The name in `ROWS` that a module belongs to, or None where it is none of ours."""
    first, _, rest = dotted.partition(".")
    if first == FRONT_PAGE:
        return rest.partition(".")[0] or FRONT_PAGE
    return first if first in ROW_OF else None


def wrong_arrows(source: Source) -> list[str]:
    """The imports of a file that do not point down."""
    mine = part_of(source.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    if mine == FRONT_PAGE:
        return []
    if mine not in ROW_OF:
        return [f"{source.path} has no place in the rows"]
    return [
        f"{source.path}:{line}: {mine} may not import {target}"
        for line, target in imports(source)
        if (theirs := part_of(target)) not in (None, mine, FRONT_PAGE, "__version__")
        and ROW_OF.get(theirs or "", -1) <= ROW_OF[mine]
    ]


def test_imports_point_down() -> None:
    assert [wrong for source in sources(*PRODUCT) for wrong in wrong_arrows(source)] == []


def test_an_arrow_that_points_up_or_sideways_is_seen() -> None:
    up = Source.of("helixflow/limits/a.py", "from helixflow.gateway import pipeline")
    sideways = Source.of("helixflow/limits/a.py", "def f():\n    import helixflow.routing.plan")
    through = Source.of("helixflow/limits/a.py", "from helixflow import cli")
    relative = Source.of("helixflow/limits/a.py", "from ..engine import ports")
    down = Source.of("helixflow/limits/a.py", "from helixflow.errors import Refusal\nimport os")
    assert [len(wrong_arrows(s)) for s in (up, sideways, through, relative, down)] == [
        1,
        1,
        1,
        1,
        0,
    ]


def test_the_product_imports_neither_tests_nor_fakes() -> None:
    wrong = [
        f"{source.path}:{line}: {target}"
        for source in sources(*PRODUCT)
        for line, target in imports(source)
        if target.split(".")[0] in ("tests", "benchmarks")
        or (
            target.startswith("helixflow.testing")
            and not source.path.startswith("helixflow/testing/")
        )
    ]
    assert wrong == []
