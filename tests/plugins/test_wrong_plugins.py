from __future__ import annotations

import re
from pathlib import Path

MUSEUM = Path(__file__).parents[1] / "wrong_plugins"


def test_every_exhibit_has_its_line_in_the_table() -> None:
    told = re.findall(r"^\| `(\w+)` \|", (MUSEUM / "README.md").read_text("utf-8"), re.MULTILINE)
    there = [folder.name for folder in MUSEUM.iterdir() if (folder / "pyproject.toml").exists()]
    assert sorted(told) == sorted(there)
