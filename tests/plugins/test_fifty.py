"""Fifty plugins at once, some broken, some slow, all colliding: counted, not timed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli import shelves
from zoo import config, index
from zoo.collisions import collisions
from zoo.plugins import children

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType
    from typing import Any

    from tests.cli.shelves import Shelf
    from zoo.plugins.distributions import Source

shelf = pytest.fixture(shelves.shelf)

pytestmark = pytest.mark.usefixtures("no_strangers_finders")


@pytest.fixture
def fifty(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that generates them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import fifty_plugins

    return fifty_plugins


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The distributions that got a process."""
    asked: list[str] = []
    survey = children.survey

    def counted(found: Sequence[Source], limit: float) -> Iterator[tuple[Source, dict[str, Any]]]:
        asked.extend(source.distribution for source in found)
        return survey(found, limit)

    monkeypatch.setattr(children, "survey", counted)
    return asked


def test_fifty_plugins_are_asked_once_and_each_that_is_broken_is_named(
    shelf: Shelf, fifty: ModuleType, surveyed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fifty, "SLOW", "")
    made = [*fifty.plugins()]
    shelf.alone()
    for one in made:
        fifty.install(one, shelf.folder)
    config.file().write_text(fifty.disabling([one.name for one in made if one.disabled]))

    _, out, err = shelf.list()
    broken = {one.name for one in made if one.broken}
    told = [
        line.partition(" 1.0 is quarantined: ") for line in err.splitlines() if "quarant" in line
    ]
    assert sorted(name for name, _, _ in told) == sorted(broken)
    assert len(broken) == 10
    assert all("to remove it: " in rest or "to mend it: " in rest for _, _, rest in told)
    works = [one for one in made if not one.broken and not one.disabled]
    assert len([*filter(None, out.splitlines()[1:])]) == 4 * len(works) + entries(out)

    unmet = {one.name for one in made if one.requires}
    assert sorted(surveyed) == sorted({one.name for one in made if not one.disabled} - unmet)
    imported = (shelf.folder / "imported.txt").read_text().split()
    assert sorted(imported) == sorted(name.replace("-", "_") for name in surveyed)
    shared = [*collisions(index.catalog(), [one.name for one in made])]
    assert len(shared) == 4 * len(works)  # nobody owns ce here: each is written in full
    assert err.count("to change that: zoo prefer") == 3 * len(works)

    # A warm cache: no process, no import, one file read.
    again = shelf.keep()
    assert again[1] == out
    assert sorted(line for line in again[2].splitlines() if "quarant" in line) == sorted(
        line for line in err.splitlines() if "quarant" in line
    )
    assert "zoo prefer" not in again[2]
    assert len(surveyed) == len(set(surveyed))
    assert (shelf.folder / "imported.txt").read_text().split() == imported


def entries(out: str) -> int:
    """Lines of registry entries."""
    return sum(line.startswith("entry ") for line in out.splitlines())


# Says what a listing imported: nothing of any plugin, and none of the rooms that make one anew.
LEAN = """
import sys
from zoo.cli import main
try:
    main(["list"])
except SystemExit as ended:
    assert ended.code == 0, ended.code
print(*sorted(sys.modules), file=sys.stderr)
"""


def test_a_kept_list_of_fifty_imports_no_code_of_a_plugin_and_no_room_that_asks_them(
    tmp_path: Path, fifty: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(fifty, "SLOW", "")
    for one in fifty.plugins(10):
        fifty.install(one, site)
    for file in (*site.iterdir(), *site.glob("*/*")):
        os.utime(file, (1, 1))  # what is young is not relied on
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    modules, told = {"zoo.index"}, ""
    for _ in range(5):  # that they leave marks in their folder is news, too
        if "zoo.index" not in modules:
            break
        done = subprocess.run(
            [sys.executable, "-c", LEAN], check=True, capture_output=True, text=True, cwd=tmp_path
        )
        *_, names = (told := done.stderr).splitlines()
        modules = set(names.split())
    assert not [name for name in modules if name.startswith("zoo_fifty")]
    assert not {"zoo.index", "zoo.plugins.loader", "importlib.metadata", "tomllib"} & modules
    assert "zoo-fifty03 1.0 is quarantined" in told
