"""The public door shows what it lists, and costs nothing to pass."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zoo


def promised() -> dict[str, str]:
    """Public name → room, as a type checker reads it."""
    source = ast.parse(Path(zoo.__file__).read_text())
    imports = (node for node in ast.walk(source) if isinstance(node, ast.ImportFrom))
    return {
        alias.asname: str(node.module) for node in imports for alias in node.names if alias.asname
    }


@pytest.mark.parametrize("name", zoo.__all__)
def test_a_listed_name_is_there(name: str) -> None:
    assert getattr(zoo, name) is not None


def test_type_checkers_and_python_see_the_same_names_in_the_same_rooms() -> None:
    assert promised() == zoo._ROOMS  # noqa: SLF001 - the table that the door works by


def test_the_list_is_sorted_and_is_all_that_shows() -> None:
    assert zoo.__all__ == sorted(set(zoo.__all__))
    assert dir(zoo) == zoo.__all__


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'zoo' has no attribute 'resnet18'"):
        _ = zoo.resnet18  # type: ignore[missing-attribute]  # the point of the test


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import zoo", "torch numpy PIL pluggy click rich"),
        ("import zoo; zoo.Component, zoo.HeadOutput, zoo.parse", "torch numpy PIL pluggy click"),
        ("import zoo; zoo.hookimpl", "torch numpy PIL click rich"),
    ],
)
def test_what_is_not_used_is_not_imported(statement: str, absent: str) -> None:
    code = f"import sys; {statement}; assert not set(sys.modules) & set({absent.split()})"
    subprocess.run([sys.executable, "-c", code], check=True)
