"""Texts of strangers, made harmless for where they go: a terminal, a page, a spreadsheet, JSON.

Names of files, classes, plugins and loss terms are whatever somebody made them: they may hold
commands for a terminal, markup, formulas, or bytes that are no text at all (which stand as lone
surrogates, as `os.fsdecode` leaves them). Each sink has one encoder here, and nothing else writes a
name into it. Encoding twice does no harm but to HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: categories that change how what follows is shown: controls, format and bidi characters,
#: surrogates, separators of lines and paragraphs
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: where a formula would begin; the wide signs count for East Asian spreadsheets. A `;` begins a
#: cell where a spreadsheet's locale says so, even between quotes, which are none to it there.
_FORMULA = re.compile(r'(^|;"*)(?=[=+\-@＝＋－＠])')  # noqa: RUF001 - meant
#: a cell with one of these is quoted; `;` parts cells where a spreadsheet's locale says so
_PARTING = frozenset(',;"')


def harmless(text: str) -> bool:
    """Whether this is plain text of one line, to be shown as it is."""
    return text.isascii() and text.isprintable()


def terminal(text: str) -> str:
    """`text` for a terminal or a log: what could command it is escaped; newlines are kept."""
    if harmless(text):
        return text
    import unicodedata

    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in _UNSAFE
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def line(text: str) -> str:
    """`terminal` for what must stay one line, as every name must: newlines are escaped too."""
    return terminal(text).replace("\n", "\\n")


def html(text: str) -> str:
    """`text` between tags, or within the quotes of an attribute."""
    from html import escape

    return escape(terminal(text))


def csv_row(cells: Iterable[str]) -> str:
    """A line of CSV, with its line end, in which no cell is taken for a formula."""
    return f"{','.join(_cell(cell) for cell in cells)}\r\n"


def _cell(text: str) -> str:
    shown = line(text)
    guarded = _FORMULA.sub(r"\1'", shown)
    if _PARTING.isdisjoint(guarded):
        return guarded
    return '"{}"'.format(guarded.replace('"', '""'))


def json_text(value: object) -> str:
    """A JSON document, in ASCII: every text comes back as it was, undecodable bytes too.

    Raises:
        ValueError: a number is not finite.
    """
    import json

    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)


def json_item(value: object) -> str:
    """`json_text` of what stands in an array, for `json_array`."""
    return json_text(value).replace("\n", "\n  ")  # no text has a newline of its own in JSON


def json_array(items: Sequence[str]) -> str:
    """`json_text` of a list, from the `json_item` of each element."""
    return "[\n  {}\n]".format(",\n  ".join(items)) if items else "[]"
