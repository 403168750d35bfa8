"""Group H of the fault matrix, and rule D14: names that command, and files of strangers.

H4 (archives) and H6 (ONNX) are no inputs of zoo: they are refused.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import unicodedata
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo import encoding
from zoo.cli import console

from .conftest import RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def harmless(text: str, *, but: str = "\n") -> None:
    """Nothing in `text` commands a terminal, and all of it can be written as UTF-8."""
    assert not {
        character
        for character in text
        if character not in but
        and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    }


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


# H4, H6


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.onnx", "x.pt", "x"])
def test_h4_an_archive_is_no_data_set(zoo: Zoo, images: Path, name: str) -> None:
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("../../outside/1.png", (images / "ant" / "0.png").read_bytes())
    before = sorted(Path("..").rglob("*"))
    ended = zoo(*[name if one == "images" else one for one in RUN])
    assert ended.code == 65
    assert f"{name} is neither a folder nor a table of images" in ended.err
    assert sorted(Path("..").rglob("*")) == before


def test_h4_an_archive_among_images_is_passed_over(zoo: Zoo, images: Path) -> None:
    with zipfile.ZipFile(images / "ant" / "more.zip", "w") as archive:
        archive.write(images / "bee" / "0.png", "0.png")
    ended = zoo(*RUN)
    assert ended.code == 0
    assert "data: 1 files are no images and were passed over" in ended.err


@pytest.mark.parametrize("name", ["x.onnx", "x.pt2", "x.pkl"])
def test_h6_a_model_of_another_format_is_refused(zoo: Zoo, images: Path, name: str) -> None:
    Path(name).write_bytes(b"\x08\x07external_data: ../../x")
    ended = zoo("predict", name, images)
    assert (ended.code, ended.out) == (66, "")
    assert f"{name} holds no model" in ended.err


# H5, H7


CANARY = "from pathlib import Path\nPath('canary').touch()\n"


@pytest.fixture
def run(finished: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder that a stranger sent; `canary` appears if something of theirs is imported."""
    Path("evil.py").write_text(CANARY)
    Path("evil").mkdir()
    Path("evil/__init__.py").write_text(CANARY)
    monkeypatch.syspath_prepend(Path.cwd())
    edit(finished / "plan.json", ["data"], str(images))
    return finished


@pytest.fixture
def unfinished(run: Path) -> Path:
    """The same, ended before its end."""
    for name in ("summary.json", "exit.json", "report.html"):
        (run / name).unlink()
    return run


def edit(file: Path, place: list[str], value: object) -> None:
    """Change a value in a JSON file."""
    document = json.loads(file.read_text())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("place", "value", "code", "words"),
    [
        pytest.param(
            ["backbone", "component", "target"], "evil:net", 78, "another than the run's",
            id="H7-target",
        ),
        pytest.param(
            ["head", "component", "target"], "os:system", 78, "another than the run's",
            id="H7-head-target",
        ),
        pytest.param(["backbone", "plugin"], "evil", 78, "which is not installed", id="H7-plugin"),
        pytest.param(["backbone", "name"], "evil/net", 78, "is not installed", id="H7-namespace"),
        pytest.param(
            ["backbone", "options"], {"width": 8, "evil": "x"}, 78, "evil is not known",
            id="H7-option",
        ),
        pytest.param(
            ["backbone", "options"], {"width": "eval(1)"}, 78, "width wants", id="H7-option-type"
        ),
        pytest.param(
            ["weights"],
            {"mode": "tag", "tag": "v1", "source": "package:evil.sub/x", "sha256": "", "file": ""},
            77, "wants the weights 'v1' from 'package:evil.sub/x'", id="H7-weights-package",
        ),
        pytest.param(
            ["weights"],
            {"mode": "tag", "tag": "v1", "source": "https://evil/x", "sha256": "", "file": ""},
            77, "'https://evil/x'", id="H7-weights-source",
        ),
        pytest.param(
            ["settings", "device"], {"value": "evil", "origin": ""}, 78, "device wants",
            id="H7-setting",
        ),
        pytest.param(
            ["settings", "evil"], {"value": "x", "origin": ""}, 78, "evil is not known",
            id="H7-setting-unknown",
        ),
    ],
)  # fmt: skip
def test_a_strangers_plan_names_no_code_and_no_source(
    zoo: Zoo, unfinished: Path, *, place: list[str], value: object, code: int, words: str
) -> None:
    edit(unfinished / "plan.json", place, value)
    before = sorted(unfinished.rglob("*"))
    ended = zoo("resume", unfinished)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert not Path("canary").exists()
    assert sorted(unfinished.rglob("*")) == before


@pytest.mark.parametrize("kind", ["backbone", "head"])
def test_h7_a_strangers_model_names_no_code(zoo: Zoo, run: Path, images: Path, kind: str) -> None:
    for key in ("target", "module", "component"):
        edit(run / "model" / "model.json", [kind, key], "evil:net")
    assert zoo("predict", run, images / "ant").code == 0
    assert not Path("canary").exists()
    edit(run / "model" / "model.json", [kind, "name"], "evil/net")
    ended = zoo("predict", run, images / "ant")
    assert ended.code == 78
    assert "evil/net" in ended.err
    assert not Path("canary").exists()


def leaves(value: object, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place of a JSON document's objects."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*place, key))


@pytest.mark.parametrize("junk", [None, -1, 1e300, "\x1b[2J", [], {}, [["x"]]], ids=repr)
def test_h7_no_value_in_a_models_card_is_a_bug_of_zoos(
    zoo: Zoo, run: Path, images: Path, junk: object
) -> None:
    card = run / "model" / "model.json"
    whole = card.read_text()
    said = json.loads(whole)
    for place in leaves(said):
        edit(card, [*place], junk)
        ended = zoo("predict", run, images / "ant" / "0.png")
        assert ended.code in {0, 65, 78}, (place, ended.err)
        harmless(ended.out + ended.err)
        card.write_text(whole)


@pytest.mark.parametrize("junk", [None, -1, "\x1b[2J", [["x"]]], ids=repr)
def test_h7_no_value_in_a_plan_is_a_bug_of_zoos(zoo: Zoo, unfinished: Path, junk: object) -> None:
    file = unfinished / "plan.json"
    whole = file.read_text()
    for place in leaves(json.loads(whole)):
        if "component" in place[:-1] or (place[0] == "settings" and place[1:2] != ("lr",)):
            continue  # of many alike, one
        edit(file, [*place], junk)
        shown = zoo("show", unfinished)
        assert shown.code in {0, 78}, (place, shown.err)
        shutil.copytree(unfinished, "copy")
        ended = zoo("resume", "copy")
        assert ended.code in {0, 2, 65, 66, 77, 78}, (place, ended.err)
        harmless(shown.out + shown.err + ended.out + ended.err)
        shutil.rmtree("copy")
        file.write_text(whole)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[" * 100_000, "too deep", id="H7-depth"),
        pytest.param('{"a":' * 100_000, "too deep", id="H7-depth-of-objects"),
        pytest.param(" " * 64_000_001, "more than 64,000,000 bytes", id="H7-size"),
        pytest.param("\x00", "is damaged", id="H7-zero"),
    ],
)
def test_a_card_that_is_no_card_is_refused(
    zoo: Zoo, run: Path, images: Path, text: str, words: str
) -> None:
    (run / "model" / "model.json").write_text(text)
    ended = zoo("predict", run, images / "ant")
    assert ended.code == 65
    assert words in ended.err


def linked(path: Path) -> None:
    """Put a link in a file's or folder's place, to where it was moved."""
    outside = Path("outside").absolute()
    outside.mkdir()
    path.rename(outside / path.name)
    path.symlink_to(outside / path.name)


PARTS = (
    *("plan.json", "split.json", "classes.json", "metrics.jsonl", "checkpoints", "model"),
    *("checkpoints/last.json", "model/model.json"),
)


@pytest.mark.parametrize("part", [pytest.param(part, id=f"H5-{part}") for part in PARTS])
def test_a_run_that_reaches_outside_of_itself_does_not_go_on(
    zoo: Zoo, unfinished: Path, part: str
) -> None:
    linked(unfinished / part)
    ended = zoo("resume", unfinished)
    assert (ended.code, ended.out) == (77, "")
    assert f"{part} is a link" in ended.err


def test_h5_a_checkpoint_or_a_file_of_it_is_no_link(zoo: Zoo, unfinished: Path) -> None:
    newest = max((unfinished / "checkpoints").glob("step-*"))
    linked(newest / "state.safetensors")
    ended = zoo("resume", unfinished)
    assert ended.code == 77
    assert "state.safetensors is a link" in ended.err


@pytest.mark.parametrize(
    ("part", "command"),
    [
        pytest.param("model", "predict", id="H5-model"),
        pytest.param("model/model.json", "predict", id="H5-card"),
        pytest.param("model/model.safetensors", "predict", id="H5-weights"),
        pytest.param("split.json", "eval", id="H5-split"),
    ],
)
def test_a_model_that_reaches_outside_of_itself_does_not_answer(
    zoo: Zoo, run: Path, part: str, command: str
) -> None:
    linked(run / part)
    rest = ["images/ant"] if command == "predict" else ["--data", "images"]
    ended = zoo(command, run, *rest)
    assert (ended.code, ended.out) == (77, "")
    assert f"{part} is a link" in ended.err


def test_h5_a_run_folder_may_itself_be_reached_by_a_link(zoo: Zoo, run: Path) -> None:
    Path("latest").symlink_to(run)
    Path("best").symlink_to(run / "model")
    assert zoo("predict", "latest", "images/ant").code == 0
    assert zoo("predict", "best", "images/ant").code == 0


@pytest.mark.parametrize("name", ["../../../outside", "/etc/hostname", "..", "a/b"])
def test_h5_a_manifest_that_names_files_elsewhere_is_refused(
    zoo: Zoo, unfinished: Path, name: str
) -> None:
    from zoo import manifest

    Path("outside").write_text("x")
    for folder in (unfinished / "checkpoints").glob("step-*"):
        file = folder / "manifest.json"
        said: dict[str, Any] = json.loads(file.read_text())
        del said["sha256"]
        said["files"][name] = said["files"].pop("state.safetensors")
        file.write_text(json.dumps({**said, "sha256": manifest._own_hash(said)}))  # noqa: SLF001 - as a forger would
    ended = zoo("resume", unfinished)
    assert (ended.code, ended.out) == (77, "")
    assert "outside of its folder" in ended.err
