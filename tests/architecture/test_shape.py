"""Sizes and names: what keeps a file readable."""

from __future__ import annotations

import ast

import pytest

from .tree import ALL, PRODUCT, Source, sources

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
VAGUE = {"base", "common", "helpers", "manager", "misc", "shared", "util", "utils"}


@pytest.mark.parametrize("source", sources(*ALL), ids=lambda source: source.path)
def test_a_file_is_short_and_so_are_its_functions(source: Source) -> None:
    assert source.text.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{source.path}:{node.lineno} {node.name}"


@pytest.mark.parametrize("source", sources(*ALL), ids=lambda source: source.path)
def test_a_file_is_called_by_what_it_holds(source: Source) -> None:
    names = {part.removesuffix(".py") for part in source.path.split("/")}
    assert not names & VAGUE


@pytest.mark.parametrize("source", sources(*ALL), ids=lambda source: source.path)
def test_nothing_is_mocked_and_nothing_is_patched(source: Source) -> None:
    # The words are put together here, so that this file does not hold them.
    for word in ("unittest." + "mock", "pytest_" + "mock", "Magic" + "Mock", "monkey" + "patch."):
        assert word not in source.text, f"{source.path} uses {word}"


@pytest.mark.parametrize("source", sources(*PRODUCT), ids=lambda source: source.path)
def test_a_module_says_what_it_is(source: Source) -> None:
    assert ast.get_docstring(source.tree) or not source.tree.body, f"{source.path} has no docstring"


@pytest.mark.parametrize("source", sources(*PRODUCT), ids=lambda source: source.path)
def test_annotations_are_not_evaluated(source: Source) -> None:
    body = [node for node in source.tree.body if not isinstance(node, ast.Expr)]
    if body:
        assert isinstance(body[0], ast.ImportFrom), source.path
        assert body[0].module == "__future__", source.path
