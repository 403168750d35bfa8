from __future__ import annotations

import re
from pathlib import Path

import zoo.data


def test_the_map_names_all_that_is_in_the_room() -> None:
    files = {path.stem for path in Path(*zoo.data.__path__).glob("[!_]*.py")}
    lines = re.findall(r"^ {4,6}(\w+(?:, \w+)*)  +\S", zoo.data.__doc__ or "", re.MULTILINE)
    assert sorted(name for line in lines for name in line.split(", ")) == sorted(files)
