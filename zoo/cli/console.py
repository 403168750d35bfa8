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


def as_json_array(items: Sequence[str]) -> None:
    """A JSON array to standard output, from the `encoding.json_item` of each element."""
    print(encoding.json_array(items))


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
    numeric = set(right.split())
    cells = [[*row] for row in rows]
    if not all(encoding.harmless("".join(row)) for row in cells):
        cells = [[encoding.line(cell) for cell in row] for row in cells]
    if is_terminal():
        _rich_table(columns, cells, numeric)
        return
    lines = [[*columns], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    fields = [
        f"{{:{'>' if heading in numeric else '<'}{width}}}"
        for heading, width in zip(columns, widths, strict=True)
    ]
    line = "  ".join(fields).format
    print("\n".join(line(*row).rstrip() for row in lines))


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
