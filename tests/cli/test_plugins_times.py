"""`zoo plugins --times` imports each plugin anew, by itself, and names what its imports cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli import shelves
from tests.cli.shelves import LOSS, Shelf

if TYPE_CHECKING:
    from tests.cli.conftest import Zoo

shelf = pytest.fixture(shelves.shelf)


@pytest.fixture
def three(shelf: Shelf) -> None:
    """One that is light, one that imports a slow library, one that fails."""
    shelf.alone()
    shelf.add("light", "1.0", {"light": "light_zoo"}, {"light_zoo.py": LOSS.format(name="one")})
    slow = "import slow_library\n" + LOSS.format(name="two")
    library = "import time\ntime.sleep(0.05)\nimport slow_inner\n"
    files = {"slow_zoo.py": slow, "slow_library.py": library, "slow_inner.py": ""}
    shelf.add("slow", "1.0", {"slow": "slow_zoo"}, files)
    shelf.add("broken", "1.0", {"broken": "broken_zoo"}, {"broken_zoo.py": "raise OSError(7)\n"})


@pytest.mark.usefixtures("three")
def test_what_an_import_costs_is_told_with_the_libraries_that_it_goes_into(zoo: Zoo) -> None:
    code, out, _ = zoo("plugins", "--times", "--json")
    assert code == 0
    slow, *others = json.loads(out)
    assert slow["distribution"] == "slow"
    assert [*slow["heavy"]] == ["slow_library"]  # slow_inner took nothing
    assert slow["seconds"] >= slow["heavy"]["slow_library"] > 0.05
    assert slow["imported"] == 3
    light = next(one for one in others if one["distribution"] == "light")
    assert (light["imported"], light["problem"]) == (1, None)
    broken = next(one for one in others if one["distribution"] == "broken")
    assert broken["problem"] == "OSError: 7"


@pytest.mark.usefixtures("three")
def test_the_table_names_the_slowest_first_and_leaves_disabled_ones_out(zoo: Zoo) -> None:
    code, out, _ = zoo("plugins", "--times", "-p", "no:light")
    heading, first, second = out.splitlines()
    assert code == 0
    assert heading.split()[:4] == ["plugin", "version", "import", "ms"]
    assert first.split()[0] == "slow"
    assert "slow_library" in first
    assert second.split()[0] == "broken"
    assert second.endswith("OSError: 7")


def test_a_command_below_takes_none_of_the_tables_options(zoo: Zoo) -> None:
    code, _, err = zoo("plugins", "--times", "enable", "x")
    assert code == 2
    assert "are of the table, not of enable" in err
