"""What the command line prints: results to standard output, all else to standard error.

Piped output is plain and imports no rich; a terminal gets rich tables. Whatever is printed passes
through `zoo.encoding`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from zoo import encoding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def result(line: str = "") -> None:
    """One line of result, to standard output."""
    print(encoding.terminal(line))


def note(line: str) -> None:
    """One line of progress or trouble, to standard error."""
    print(encoding.terminal(line), file=sys.stderr, flush=True)


def as_json(value: object) -> None:
    """JSON to standard output, one document."""
    print(encoding.json_text(value))


def as_csv(rows: Iterable[Iterable[str]]) -> None:
    """CSV to standard output; its lines end as RFC 4180 wants them."""
    print(*map(encoding.csv_row, rows), sep="", end="")


def is_terminal() -> bool:
    """Whether standard output is a terminal that can show colours and tables."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: str = "") -> None:
    """A table to standard output: rich on a terminal, aligned plain text in a pipe.

    Args:
        columns: headings.
        rows: cells as text, as many as there are columns.
        right: the headings of right-aligned (numeric) columns, separated by spaces.
    """
    cells = [[encoding.line(cell) for cell in row] for row in rows]
    numeric = set(right.split())
    if is_terminal():
        _rich_table(columns, cells, numeric)
        return
    widths = [
        max(len(heading), *(len(row[place]) for row in cells)) if cells else len(heading)
        for place, heading in enumerate(columns)
    ]
    for row in [list(columns), *cells]:
        line = "  ".join(
            cell.rjust(width) if heading in numeric else cell.ljust(width)
            for cell, width, heading in zip(row, widths, columns, strict=True)
        )
        print(line.rstrip())


def _rich_table(columns: Sequence[str], cells: list[list[str]], numeric: set[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in columns:
        shown.add_column(heading, justify="right" if heading in numeric else "left")
    for row in cells:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)
