"""Group B of the fault matrix, second part: names of classes and files, and their order."""

from __future__ import annotations

import json
import locale
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import RUN, fill, read, refused

if TYPE_CHECKING:
    from .conftest import Zoo

pytestmark = pytest.mark.usefixtures("images")

NAMES = {
    "B10-space": "a b",
    "B10-newline": "a\nb",
    "B10-escape": "\x1b[2J",
    "B10-osc": "\x1b]0;x\x07",
    "B10-markup": "[red]x",
    "B10-link-markup": "[link=file:x]",
    "B10-html": "<script>alert(1)<",
    "B10-percent": "a%2f..%2f..%2fetc",
    "B10-dash": "-rf",
    "B10-formula": "=cmd()",
    "B10-format": "{0.__class__}%s",
    "B10-bidi": "a\u202eb",
    "B10-emoji": "\U0001f41c",
    "B10-255-bytes": "x" * 255,
    "B10-not-utf-8": os.fsdecode(b"\xff\xfe"),
    "B10-capital": "Ant",
    "B10-composed": "\u00e9",
    "B10-decomposed": "e\u0301",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_strange_name_works_and_comes_back_as_it_was(zoo: Zoo, tmp_path: Path, name: str) -> None:
    longest = name[:250] if len(name) > 250 else name
    try:
        Path("images/bee").rename(Path("images") / name)
        Path("images", name, "0.png").rename(Path("images", name, f"{longest}.png"))
    except OSError as error:
        pytest.skip(f"this file system refuses the name: {error}")
    ended = zoo(*RUN, "--epochs", "30")
    assert ended.code == 0, ended.err
    assert read("classes.json") == sorted(["ant", name, "cat"])
    assert f"{name}/{longest}.png" in {one["name"] for one in read("split.json")["files"]}
    found = zoo("predict", "out", Path("images") / name, "--json")
    assert found.code == 0
    assert {one["class"] for one in json.loads(found.out)} <= {"ant", name, "cat"}
    assert str(Path("images", name, f"{longest}.png")) in {
        one["file"] for one in json.loads(found.out)
    }
    shown = [ended, found]
    for command in (
        *(("show", "out"), ("eval", "out", "--data", "images")),
        *(("predict", "out", "images"), ("predict", "out", "images", "--csv")),
    ):
        shown.append(zoo(*command))
        assert shown[-1].code == 0, shown[-1].err
    for one in shown:
        assert not set("\x1b\x07\u202e") & set(one.out + one.err)
        (one.out + one.err).encode()  # no lone surrogates either
    assert b"<script>alert" not in Path("out/report.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out"]


def test_b10_names_that_differ_in_capitals_alone_are_two_classes(zoo: Zoo) -> None:
    try:
        Path("images/Ant").mkdir()
    except FileExistsError:
        pytest.skip("this file system does not tell capitals apart")
    fill("Ant", "bee/0.png", "bee/1.png")
    assert zoo(*RUN).code == 0
    assert read("classes.json") == ["Ant", "ant", "bee", "cat"]


def test_b10_names_that_differ_in_composition_alone_are_refused(zoo: Zoo) -> None:
    for label in ("\u00e9", "e\u0301"):
        fill(label, "ant/0.png")
    if len(list(Path("images").iterdir())) == 4:
        pytest.skip("this file system takes the two for one")
    refused(zoo(*RUN), 65, "differ only in Unicode composition", r"'e\u0301' and '\xe9'")


@pytest.mark.parametrize(
    "language",
    [pytest.param(one, id=f"B11-{one}") for one in ("C", "tr_TR.UTF-8", "de_DE.UTF-8", "C.UTF-8")],
)
def test_the_order_of_classes_is_the_same_in_every_language(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    for name in ("1", "2", "10", "i", "I", "\u0131", "z", "\u00e4", "Z"):
        fill(name, "ant/0.png", "bee/0.png")
    monkeypatch.setenv("LC_ALL", language)
    before = locale.setlocale(locale.LC_ALL)
    with suppress(locale.Error):  # where it is not installed, the variable alone must do no harm
        locale.setlocale(locale.LC_ALL, "")
    try:
        ended = zoo(*RUN)
    finally:
        locale.setlocale(locale.LC_ALL, before)
    assert ended.code == 0
    order = ["1", "10", "2", "I", "Z", "ant", "bee", "cat", "i", "z", "\u00e4", "\u0131"]
    assert read("classes.json") == order
