"""Group H of the fault matrix, H4 to H7: files and run folders of strangers.

H4 (archives) and H6 (ONNX) are no inputs of zoo: they are refused. H8 is held where the memory is
used: tests/training/test_evaluate.py, tests/test_report.py, tests/faults/test_specs.py.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo.manifest import own_hash

from .conftest import RUN
from .harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Zoo

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
    assert "data: 1 file is no image and was passed over: ant/more.zip" in ended.err


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
    """Change a value in a JSON file, whose hash of itself a stranger can compute as well."""
    document = json.loads(file.read_text())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    if "card_sha256" in document and place != ["card_sha256"]:
        del document["card_sha256"]
        document["card_sha256"] = own_hash(document)
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


@pytest.mark.parametrize("junk", [-1, "\x1b[2J"], ids=repr)
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
    Path("outside").write_text("x")
    for folder in (unfinished / "checkpoints").glob("step-*"):
        file = folder / "manifest.json"
        said: dict[str, Any] = json.loads(file.read_text())
        del said["sha256"]
        said["files"][name] = said["files"].pop("state.safetensors")
        file.write_text(json.dumps({**said, "sha256": own_hash(said)}))
    ended = zoo("resume", unfinished)
    assert (ended.code, ended.out) == (77, "")
    assert "outside of its folder" in ended.err
