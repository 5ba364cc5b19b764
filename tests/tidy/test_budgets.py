"""Small by budget (docs/architecture.md): no file, function or class grows past what one reading can hold."""

import ast

import pyfuse3

from tests.tidy.sources import (
    PRODUCT,
    ROOT,
    body_lines,
    classes_of,
    functions_of,
    is_seam,
    public_methods,
    python_files,
)

FILE_LINES = {PRODUCT: 300, "tests": 450}
FUNCTION_LINES = {PRODUCT: 40, "tests": 60}
PUBLIC_METHODS = 12


def test_no_file_is_longer_than_its_budget() -> None:
    long = {
        str(path): lines
        for path in python_files(*FILE_LINES)
        if (lines := len((ROOT / path).read_text("utf-8").splitlines())) > FILE_LINES[path.parts[0]]
    }
    assert not long


def test_no_function_body_is_longer_than_its_budget() -> None:
    long = {
        f"{path}:{node.name}": lines
        for path in python_files(*FUNCTION_LINES)
        for node in functions_of(path)
        if (lines := body_lines(node)) > FUNCTION_LINES[path.parts[0]]
    }
    assert not long


def test_no_class_offers_more_public_methods_than_its_budget() -> None:
    """Methods that a seam or pyfuse3 dictates do not count: their number is not the class's choice."""
    paths = python_files(PRODUCT)
    dictated = set(dir(pyfuse3.Operations))
    for path in paths:
        for node in classes_of(path):
            if is_seam(node):
                dictated.update(public_methods(node))
    wide = {
        f"{path}:{node.name}": own
        for path in paths
        for node in classes_of(path)
        if not is_seam(node)
        and len(own := [name for name in public_methods(node) if name not in dictated]) > PUBLIC_METHODS
    }
    assert not wide


def test_the_budget_counts_a_body_without_its_docstring() -> None:
    function = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n\n    return a\n').body[0]
    assert isinstance(function, ast.FunctionDef)
    assert body_lines(function) == 3
