from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

import zoo

ROOT = Path(__file__).parents[2]
MUSEUM = ROOT / "tests" / "wrong_plugins"
TABLE = (MUSEUM / "README.md").read_text("utf-8")
#: what the table calls a page
PAGES = {
    "guide": "plugins/README.md",
    "promises": "README.md",
    "README": "README.md",
    "CONTRIBUTING": "CONTRIBUTING.md",
}
#: `guide: it "imports no torch"` or `` `Facts`: "features: D" ``, up to the next source or cell
CITED = re.compile(r"(?:\b(\w+)|`(\w+)`): (.*?)(?=; \w+: |; `\w+`: | \| )")
#: what is left out of a quotation
LEFT_OUT = " [...] "


def quotations() -> list[tuple[str, str]]:
    """Source and quotation, each once; a source is a page or a class of zoo."""
    rows = [line for line in TABLE.splitlines() if line.startswith("| `")]
    found = [
        (page or public, quoted)
        for row in rows
        for page, public, words in CITED.findall(row)
        for quoted in re.findall(r'"([^"]+)"', words)
    ]
    return list(dict.fromkeys(found))


@cache
def words_of(source: str) -> str:
    """The words of a page or of a docstring, one blank between two, whatever its lines."""
    text = (
        (ROOT / PAGES[source]).read_text("utf-8")
        if source in PAGES
        else getattr(zoo, source).__doc__
    )
    return " ".join(text.split())


def test_every_exhibit_has_its_line_in_the_table() -> None:
    told = re.findall(r"^\| `(\w+)` \|", TABLE, re.MULTILINE)
    there = [folder.name for folder in MUSEUM.iterdir() if (folder / "pyproject.toml").exists()]
    assert sorted(told) == sorted(there)


def test_the_pages_are_quoted() -> None:
    sources = [source for source, _ in quotations()]
    assert {*PAGES} <= {*sources}
    assert sources.count("guide") > 20


@pytest.mark.parametrize(("source", "quoted"), quotations())
def test_what_is_quoted_stands_there(source: str, quoted: str) -> None:
    missing = [part for part in quoted.split(LEFT_OUT) if part not in words_of(source)]
    assert not missing
