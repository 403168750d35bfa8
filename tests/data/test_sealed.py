from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoo.data import sealed

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = sealed.line([["a", 1], ["\udcff\u2028", 2]]), sealed.line([["c", 3]])


def test_entries_of_all_lines_come_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"{ONE}\n{TWO}\n")
    assert [*sealed.entries(tmp_path / "log")] == [["a", 1], ["\udcff\u2028", 2], ["c", 3]]


def test_where_there_is_no_log_there_are_none(tmp_path: Path) -> None:
    assert [*sealed.entries(tmp_path / "log")] == []


@pytest.mark.parametrize("bad", [ONE[:-1], ONE.replace("1", "2"), ONE[1:], "", "{", "\xff"])
def test_a_damaged_line_costs_its_entries_alone(tmp_path: Path, bad: str) -> None:
    (tmp_path / "log").write_text(f"{bad}\n{TWO}\n", "latin-1")
    assert [*sealed.entries(tmp_path / "log")] == [["c", 3]]
