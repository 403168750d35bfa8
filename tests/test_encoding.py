from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoo import encoding

#: what commands a terminal, breaks lines, or turns text around
COMMANDS = "\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\u061c\u200e\u202e\u2028\u2029\u2066\ufeff\U000e0041"
#: any name that a file system could hold, as `os.fsdecode` gives it, and any text that JSON could
names = st.binary().map(os.fsdecode) | st.text(
    st.characters(codec=None) | st.sampled_from(COMMANDS + "=+-@＝＋－＠;,\"'<>&/[]{}\\")  # noqa: RUF001 - a formula's start
)


class Page(HTMLParser):
    """The text of a page, and what is in it beside text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.other: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.other.append((tag, attrs))

    def handle_comment(self, data: str) -> None:
        self.other.append((data, []))

    def handle_decl(self, decl: str) -> None:
        self.other.append((decl, []))

    def handle_pi(self, data: str) -> None:
        self.other.append((data, []))


@given(names)
def test_nothing_that_a_terminal_gets_commands_it(name: str) -> None:
    shown = encoding.terminal(name)
    assert all(
        character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for character in shown
    )
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert encoding.terminal(shown) == shown


@given(names)
def test_a_name_is_one_line(name: str) -> None:
    assert len(f"{encoding.line(name)}|".splitlines()) == 1
    assert encoding.line(name).replace("\\n", "\n") == encoding.terminal(name).replace("\\n", "\n")


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert encoding.line(text) == text


@given(names)
def test_a_page_shows_the_name_and_takes_nothing_else_from_it(name: str) -> None:
    page = Page(f"<td>{encoding.html(name)}</td>")
    assert page.text == encoding.terminal(name)
    assert page.other == [("td", [])]


@given(names)
def test_an_attribute_holds_the_name_and_ends_where_it_should(name: str) -> None:
    for quote in "\"'":
        page = Page(f"<a title={quote}{encoding.html(name)}{quote}>x</a>")
        assert page.other == [("a", [("title", encoding.terminal(name))])]
        assert page.text == "x"


@given(st.lists(names | st.text('=;,"'), min_size=1, max_size=4))
@example(["", ";=cmd"])
@example(["", ';""=cmd'])
@example(['"', '";=cmd'])
def test_a_spreadsheet_reads_the_cells_back_and_computes_none(cells: list[str]) -> None:
    row = encoding.csv_row(cells)
    row.encode("utf-8")
    assert len(row.splitlines()) == 1
    (read,) = csv.reader(io.StringIO(row), strict=True) if row != "\r\n" else ([""],)
    for cell, name in zip(read, cells, strict=True):
        shown = encoding.line(name)
        assert cell.replace("'", "") == shown.replace("'", "")
        if cell != shown:  # a sign of a formula has an apostrophe before it
            assert re.search(r"(^|;)\"*'[=+\-@＝＋－＠]", cell)  # noqa: RUF001 - a formula's start
    for delimiter in ",;\t":
        for line in csv.reader([row.removesuffix("\r\n")], delimiter=delimiter):
            assert not any(cell.startswith(tuple("=+-@＝＋－＠\t\r")) for cell in line)  # noqa: RUF001 - a formula's start


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])  # noqa: RUF001 - a formula's start
def test_a_formula_is_text_and_the_sign_within_a_name_stays(start: str) -> None:
    assert encoding.csv_row([f"{start}cmd", f"a{start}"]) == f"'{start}cmd,a{start}\r\n"


@given(names)
def test_json_gives_every_name_back_to_the_last_byte(name: str) -> None:
    document = encoding.json_text({name: [name]})
    assert document.isascii()
    assert json.loads(document) == {name: [name]}


@given(st.binary())
def test_the_bytes_of_a_file_name_survive_json(data: bytes) -> None:
    assert os.fsencode(json.loads(encoding.json_text(os.fsdecode(data)))) == data


def test_what_is_not_finite_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encoding.json_text(float("nan"))
