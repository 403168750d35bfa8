"""Group H of the fault matrix, H1 to H3, and rule D14: names that command, mark up, compute."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo import encoding
from zoo.cli import console

from .conftest import RUN
from .harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Zoo

#: what a class or a file may be called on a disk
NAMES = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)<!--',
    "javascript:alert(1)",
    "{{7*7}} {0.__class__} %s",
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http:evil\x07\x1b]52;c;ZXZpbA==\x07",
    "[bold]red [link=http:evil]x",
    "[\\] \\[",
    "\u202egpj.exe \u2066x",
    "two\nlines\r\b\b\b",
    "error: all is well\n\nRun folder: elsewhere",
    "\x9b31m \x85 \u2028",
    os.fsdecode(b"\xff\xfe\x80 bytes"),
    "=cmd|' C calc'!A0",
    "+1;=2+2",
    "-1",
    "@SUM(A1)",
    "＝1+1",  # noqa: RUF001 - what East Asian spreadsheets compute
    "\tindented",
)
#: what only a table can call a class
LABELS = (
    *NAMES,
    "[/] [bold]red[/]",
    '=HYPERLINK("http://evil")',
    "</script><b>",
    "../../etc/passwd",
    "C:\\x",
    "null",
    "true",
    "__proto__",
)


@pytest.fixture
def labels(images: Path, draw: Callable[..., Path], request: pytest.FixtureRequest) -> list[str]:
    """Classes of such names: in `./images` as folders, or in `./images/table.csv` as labels."""
    shutil.rmtree(images)
    draw(images, (len(NAMES) * 5, 0, 0))
    pictures = sorted((images / "ant").iterdir(), key=lambda path: int(path.stem))
    if request.param == "folders":
        for place, picture in enumerate(pictures):
            folder = images / NAMES[place // 5]
            folder.mkdir(exist_ok=True)
            picture.rename(folder / f"{NAMES[place % len(NAMES)]}{place}.png")
        (images / "ant").rmdir()
        return [*NAMES]
    kept = LABELS[len(NAMES) :]
    rows = [
        ["path", "label"],
        *(
            [f"ant/{picture.name}", kept[place % len(kept)]]
            for place, picture in enumerate(pictures)
        ),
    ]
    with (images / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return [name.strip() for name in kept]


def arguments(layout: str) -> list[str]:
    data = {"folders": "images", "table": "images/table.csv"}[layout]
    return [data if one == "images" else one for one in RUN]


LAYOUTS = [
    pytest.param("folders", "folders", id="folders"),
    pytest.param("table", "table", id="table"),
]
both = pytest.mark.parametrize(("labels", "layout"), LAYOUTS, indirect=["labels"])


class Page(HTMLParser):
    """What a browser would make of a report."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.policy = ""
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a name began a comment: {data!r}")


@both
def test_names_are_harmless_wherever_a_run_puts_them(
    zoo: Zoo, labels: list[str], layout: str
) -> None:
    run = zoo(*arguments(layout))
    assert run.code == 0
    dry = zoo(*arguments(layout), "--dry-run")
    shown = zoo("show", "out")
    data = arguments(layout)[arguments(layout).index("--data") + 1]
    measured = zoo("eval", "out", "--data", data)
    for ended in (run, dry, shown, measured):
        assert ended.code == 0
        harmless(ended.out + ended.err)
    # each class is one line of the table, whatever it is called
    lines = measured.out.splitlines()
    assert [line.split("  ")[0] for line in lines[-len(labels) :]] == [
        encoding.line(name) for name in sorted(labels)
    ]
    assert json.loads(Path("out/classes.json").read_text("ascii")) == sorted(labels)
    files = json.loads(Path("out/split.json").read_text("ascii"))["files"]
    assert {one["class"] for one in files} == set(labels)
    for file in Path("out").rglob("*.json"):
        json.loads(file.read_bytes())
    told = json.loads(zoo("eval", "out", "--data", data, "--json").out)
    assert [*told["per_class"]] == sorted(labels)


@both
def test_h1_a_report_shows_the_names_and_takes_nothing_else_from_them(
    zoo: Zoo, labels: list[str], layout: str
) -> None:
    assert zoo(*arguments(layout)).code == 0
    text = Path("out/report.html").read_bytes().decode("utf-8")
    harmless(text)
    page = Page(text)
    assert page.tags <= {
        *(
            "html",
            "meta",
            "title",
            "style",
            "body",
            "h1",
            "h2",
            "h3",
            "p",
            "table",
            "tr",
            "th",
            "td",
        )
    }
    assert {name for name, _ in page.attributes} <= {"lang", "charset", "http-equiv", "content"}
    assert page.policy.startswith("default-src 'none';")
    assert "script-src" not in page.policy
    for name in labels:
        assert encoding.terminal(name) in page.cells


@pytest.mark.parametrize("labels", ["folders"], indirect=True)
def test_h2_predictions_name_files_and_classes_harmlessly(zoo: Zoo, labels: list[str]) -> None:
    assert zoo(*arguments("folders")).code == 0
    table = zoo("predict", "out", "images")
    assert table.code == 0
    harmless(table.out)
    assert len(table.out.splitlines()) == 1 + 5 * len(NAMES)
    told = json.loads(zoo("predict", "out", "images", "--json").out)
    assert all(one["class"] in labels for one in told)
    assert {one["file"] for one in told} == {
        str(path) for path in Path("images").rglob("*.png") if path.is_file()
    }


@pytest.mark.parametrize("labels", ["folders"], indirect=True)
def test_h3_a_spreadsheet_of_predictions_computes_nothing(
    zoo: Zoo, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert zoo(*arguments("folders")).code == 0
    run = Path("out").absolute()
    monkeypatch.chdir("images")
    names = sorted(path.name for path in Path().iterdir())
    told = zoo("predict", run, *(f"./{name}" for name in names), "--csv")
    assert told.code == 0
    harmless(told.out, but="\r\n")
    told.out.encode("utf-8")
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(told.out), delimiter=delimiter):
            assert not [cell for cell in row if cell.startswith(tuple("=+-@＝\t\r"))]  # noqa: RUF001 - as above
    rows = [*csv.DictReader(io.StringIO(told.out))]
    shown = {encoding.line(name) for name in labels}
    assert {row["class"].removeprefix("'") for row in rows} <= shown
    assert len(rows) == 5 * len(NAMES)


@pytest.mark.parametrize("labels", ["folders"], indirect=True)
def test_h2_a_terminals_tables_and_bars_take_no_markup(
    zoo: Zoo, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    Path("images/[bold]x\x1b[2J.png").write_bytes(b"")
    run = zoo(*arguments("folders"))
    assert run.code == 0
    measured = zoo("eval", "out", "--data", "images")
    for text in (run.out, run.err, measured.out):
        # rich's own colours, cursor and links of its own making apart
        harmless(re.sub(r"\x1b\[\??[0-9;]*[A-Za-z]", "", text), but="\n\r")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", measured.out)
    for name in labels:
        assert encoding.line(name) in plain


def test_h2_every_bad_file_has_one_line_whatever_it_is_called(zoo: Zoo, images: Path) -> None:
    for name in NAMES:
        (images / "ant" / f"{name}.png").write_bytes(b"no picture")
    ended = zoo(*RUN)
    assert ended.code == 65
    harmless(ended.err)
    told = [line for line in ended.err.splitlines() if line.startswith("  images/ant/")]
    assert len(told) == len(NAMES)
    assert zoo("predict", "out", "images").code == 66  # nothing was left of the run
    assert not Path("out").exists()


def test_h2_what_click_says_of_an_argument_is_harmless_too(zoo: Zoo) -> None:
    for argument in ("--\x1b[2J", "--device\x1b]0;x\x07", "\x1b[2J"):
        ended = zoo("predict", argument)
        assert ended.code == 2
        harmless(ended.err)
    ended = zoo("\x1b[2J\u202e")
    assert ended.code == 2
    harmless(ended.err)


def test_h2_a_letter_that_the_locale_lacks_is_no_error(
    zoo: Zoo, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "ant").rename(images / "améise")
    assert zoo(*RUN).code == 0
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    assert zoo("eval", "out", "--data", "images").code == 0
    stream.flush()
    assert b"am\\xe9ise" in stream.buffer.getvalue()
