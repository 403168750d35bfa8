"""The kit against plugins that are subtly wrong, and against healthy ones that look it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.testing import examine

ROOT = Path(__file__).parents[2]
MUSEUM = ROOT / "tests" / "wrong_plugins"
CAUGHT = dict(
    re.findall(
        r"^\| `(\w+)` \| .* \| `([a-z-]+)` \|$",
        (ROOT / "docs" / "conformance.md").read_text("utf-8"),
        re.MULTILINE,
    )
)
EXHIBITS = sorted(folder.name for folder in MUSEUM.iterdir() if (folder / "pyproject.toml").exists())
WRONG = [name for name in EXHIBITS if not name.startswith("healthy")]
HEALTHY = [name for name in EXHIBITS if name.startswith("healthy")]


def test_the_table_in_the_documents_names_every_wrong_plugin() -> None:
    assert sorted(CAUGHT) == WRONG


@pytest.mark.parametrize("name", WRONG)
def test_a_fault_is_caught_by_the_check_that_the_table_names(name: str) -> None:
    report = examine(MUSEUM / name)
    assert not report.ok
    assert not report.missing
    assert CAUGHT[name] in {result.check.name for result in report.failed}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_plugin_is_accused_of_nothing(name: str) -> None:
    report = examine(MUSEUM / name)
    assert report.ok, str(report)
