from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from zoo import report
from zoo.runfolder import RunFolder


@pytest.fixture
def summary(finished: Path) -> dict[str, Any]:
    return json.loads((finished / "summary.json").read_text())


class Page(HTMLParser):
    """What a browser would fetch, run and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "onload"}]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_lines_tell_the_number_and_what_qualifies_it(summary: dict[str, Any]) -> None:
    lines = report.lines(summary, Path("runs/x-1"))
    assert lines[0] == summary["spec"]
    low, high = summary["val"]["interval"]
    assert lines[1] == (
        f"  validation top-1 {summary['val']['top1']:.4f} (95 % interval {low:.3f} to {high:.3f}, "
        f"n = 3), macro F1 {summary['val']['macro_f1']:.4f}"
    )
    assert lines[2] == "    the headline: nothing was chosen by it"
    assert "  frozen backbone: all parameters and buffers bit-equal before and after" in lines
    assert lines[-2:] == ["Run folder: runs/x-1", "Use it: zoo predict runs/x-1 IMAGE..."]


def test_a_backbone_that_changed_all_the_same_is_shouted(summary: dict[str, Any]) -> None:
    summary["train"]["frozen"]["verified"] = False
    assert "frozen backbone: all parameters and buffers CHANGED" in report.remarks(summary)


def test_a_test_part_comes_first_and_is_the_number(summary: dict[str, Any]) -> None:
    summary.update(test=summary["val"], headline="test")
    summary["train"]["val_used_to_choose"] = True
    test, why_test, val, why_val = report.lines(summary, Path("x"))[1:5]
    assert test.startswith("  test top-1")
    assert why_test == "    the headline: looked at once, when all was done"
    assert val.startswith("  validation top-1")
    assert why_val == "    the epoch was chosen by it, so it flatters a little"


def test_the_page_is_whole_and_names_cannot_command_it(
    finished: Path, summary: dict[str, Any]
) -> None:
    evil = "<script>alert(1)</script>"
    summary["classes"][0] = evil
    summary["val"]["per_class"] = {evil: summary["val"]["per_class"]["ant"]}
    summary["data"] = [f"2 images: {evil}"]
    report.write(RunFolder(finished), summary)
    page = Page((finished / "report.html").read_text())
    assert "script" not in page.tags
    assert page.links == []
    assert "".join(page.text).count(evil) == 4
    assert page.tags.count("table") == 2


def many(summary: dict[str, Any], count: int) -> dict[str, Any]:
    """The summary of a run with so many classes, each answered as the next one once in a while."""
    names = [f"class {place}" for place in range(count)]
    one = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "n": 1}
    matrix = [[0] * count for _ in names]
    for place in range(min(count, 60)):
        matrix[place][(place + 1) % count] = place
    figures = {"per_class": dict.fromkeys(names, one), "confusion": matrix}
    return {**summary, "classes": names, "val": {**summary["val"], **figures}}


def test_h8_of_many_classes_the_page_shows_the_worst_and_says_so(
    finished: Path, summary: dict[str, Any]
) -> None:
    report.write(RunFolder(finished), many(summary, 1000))
    text = (finished / "report.html").read_text()
    assert len(text) < 200_000
    page = Page(text)
    shown = "".join(page.text)
    assert "The first 500 of 1000 classes; all of them are in summary.json." in shown
    assert "The 20 most frequent mistakes (all of them are in summary.json)" in shown
    assert "<tr><td>class 59</td><td>class 60</td><td>59</td></tr>" in text
    assert page.tags.count("tr") == 1 + 500 + 1 + 20


def test_h8_a_matrix_that_was_not_kept_is_said_to_be(
    finished: Path, summary: dict[str, Any]
) -> None:
    told = many(summary, 2000)
    told["val"]["confusion"] = None
    report.write(RunFolder(finished), told)
    assert (
        "The confusion matrix of 2000 classes is not kept."
        in (finished / "report.html").read_text()
    )
