"""Sizes and names: what keeps a file readable."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .tree import ALL, PRODUCT, Source, sources

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
VAGUE = {"base", "common", "helpers", "manager", "misc", "shared", "util", "utils"}

# Put together here, so that this file does not hold them. Environment variables may be set.
MOCKS = (
    "unittest." + "mock",
    "pytest_" + "mock",
    "Magic" + "Mock",
    "monkeypatch." + "setattr",
    "monkeypatch." + "setitem",
    "monkeypatch." + "delattr",
)


def long_functions(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{source.path}:{node.lineno} {node.name}: {lines} lines"


def test_files_are_short() -> None:
    lines = {source.path: source.text.count("\n") for source in sources(*ALL)}
    assert {path: count for path, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_functions_are_short() -> None:
    assert [long for source in sources(*ALL) for long in long_functions(source)] == []


def test_files_are_called_by_what_they_hold() -> None:
    names = {
        source.path: set(source.path.removesuffix(".py").split("/")) for source in sources(*ALL)
    }
    assert [path for path, words in names.items() if words & VAGUE] == []


def test_nothing_is_mocked_and_no_attribute_is_patched() -> None:
    assert [(s.path, word) for s in sources(*ALL) for word in MOCKS if word in s.text] == []


def test_every_module_says_what_it_is() -> None:
    silent = [s.path for s in sources(*PRODUCT) if s.tree.body and not ast.get_docstring(s.tree)]
    assert silent == []


def test_annotations_are_not_evaluated() -> None:
    eager = []
    for source in sources(*PRODUCT):
        body = [node for node in source.tree.body if not isinstance(node, ast.Expr)]
        first = body[0] if body else None
        if first and not (isinstance(first, ast.ImportFrom) and first.module == "__future__"):
            eager.append(source.path)
    assert eager == []
