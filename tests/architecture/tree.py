"""The source as the architecture tests read it: files, and what each imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("helixflow", "deployments", "cluster")
ALL = (*PRODUCT, "tests", "benchmarks")


@dataclass(frozen=True, slots=True)
class Source:
    """A Python file: its path from the root, its text, and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @staticmethod
    def of(path: str, text: str) -> Source:
        return Source(path, text, ast.parse(text))


def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python file below these folders."""
    return tuple(source for folder in folders for source in _below(folder))


@cache
def _below(folder: str) -> tuple[Source, ...]:
    return tuple(
        Source.of(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / folder).rglob("*.py"))
    )


@cache
def imports(source: Source) -> tuple[tuple[int, str], ...]:
    """`(line, module)` of everything that a file imports, inside functions too."""
    return tuple(_imports(source))


def _imports(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = source.path.split("/")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from helixflow import errors` names a module, not a thing inside one.
            names = [alias.name for alias in node.names] if module == "helixflow" else []
            yield from ((node.lineno, f"{module}.{name}") for name in names)
            if not names:
                yield node.lineno, module
