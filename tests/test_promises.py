"""Each promise that the README makes names tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECTION = re.compile(r"^## Promises$(.*?)^## ", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def promises() -> list[str]:
    """The lines of the table."""
    found = SECTION.search((HERE.parent / "README.md").read_text("utf-8"))
    assert found
    return [line for line in found[1].splitlines() if line.startswith("| ")][2:]


@cache
def functions_of(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_there_are_promises() -> None:
    assert len(promises()) > 10


@pytest.mark.parametrize("line", promises(), ids=lambda line: line[2:40])
def test_a_promise_names_tests_that_are_there(line: str) -> None:
    named = NAMED.findall(line)
    assert named
    for file, test in named:
        assert (HERE / file).is_file()
        assert not test or test in functions_of(HERE / file)
