"""A run folder that the disk, or somebody, has changed: nothing half loaded, nothing begun anew."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from zoo import manifest
from zoo.errors import BadWeights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Forks = Any  # a fixture that runs command lines in children
Left = Any  # a fixture that reads what a run left
Tree = Any  # a fixture that hashes the files below a folder
COMMAND = (
    *("run", "tiny/net+linear:dropout=0.5+cekl", "--weights", "none", "--device", "cpu"),
    *("--train", "probe", "--epochs", "4", "--batch-size", "12", "--set", "select=best"),
    *("--set", "checkpoint.steps=1", "--set", "checkpoint.seconds=100000"),
)
CHECKPOINT = tuple(f"{name}.safetensors" for name in ("state", "optimizer", "best"))
FILES = (*CHECKPOINT, "position.json", "manifest.json")


class Run:
    """A run folder that was killed in the middle, two checkpoints being whole, and may be hurt."""

    def __init__(self, forks: Forks, folder: Path, cache: Path) -> None:
        self.forks, self.folder, self.cache = forks, folder, cache
        self.checkpoints = folder / "checkpoints"
        self.older, self.newest = sorted(self.checkpoints.glob("step-*"))

    def zoo(self, *arguments: object, **how: Any) -> Any:  # noqa: ANN401 - how it ended
        env = {"ZOO_CACHE": str(self.cache)}
        ended = self.forks(*arguments, cwd=self.folder.parent, env=env, **how)
        assert "Traceback" not in ended.err
        return ended

    def resume(self) -> Any:  # noqa: ANN401 - how it ended
        return self.zoo("resume", self.folder)


@pytest.fixture(scope="module")
def broken(
    forks: Forks, _images: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The unbroken run, and the same one killed after its third checkpoint."""
    folder = tmp_path_factory.mktemp("broken")
    start = (*COMMAND, "--data", _images, "--out")
    env = {"ZOO_CACHE": str(folder / "cache")}
    log = folder / "log"
    told = {**env, "ZOO_CRASH_LOG": str(log)}
    assert forks(*start, folder / "whole", cwd=folder, env=told).code == 0
    (where,) = (
        line.split()[0]
        for line in log.read_text().splitlines()
        if line.endswith("removed step-00000001/")
    )
    killed = forks(
        *start, folder / "run", cwd=folder, env={**env, "ZOO_CRASH_AT": where, "ZOO_CACHE": "cold"}
    )
    assert killed.signal == signal.SIGKILL
    return folder / "whole", folder / "run"


@pytest.fixture(scope="module")
def pictures(_images: Path) -> Path:
    """Where the run's images lie; nothing may be changed there."""
    return _images


@pytest.fixture
def run(forks: Forks, broken: tuple[Path, Path], tmp_path: Path) -> Run:
    whole, killed = broken
    return Run(forks, shutil.copytree(killed, tmp_path / "run"), whole.parent / "cache")


@pytest.fixture
def expected(left: Left, broken: tuple[Path, Path]) -> Any:  # noqa: ANN401 - see `left`
    return left(broken[0])


def flip(place: float) -> Callable[[Path], None]:
    """Turn over one bit of the byte at this share of a file."""

    def damage(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[min(int(place * len(data)), len(data) - 1)] ^= 1
        file.write_bytes(data)

    return damage


DAMAGE: dict[str, Callable[[Path], object]] = {
    "first byte": flip(0),
    "header": flip(0.05),
    "middle": flip(0.5),
    "last byte": flip(1),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    # Of JSON, whose last byte is a line's end that says nothing, the bracket before it.
    "a byte short": lambda file: file.write_bytes(file.read_bytes().rstrip(b"\n")[:-1]),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "empty": lambda file: os.truncate(file, 0),
    "gone": lambda file: file.unlink(),
    "folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_e1_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    run: Run, left: Left, expected: object, name: str, damage: str
) -> None:
    DAMAGE[damage](run.newest / name)
    ended = run.resume()
    assert ended.code == 0
    assert f"{run.newest.name}/{name}" in ended.err
    assert f"going on from the one before, {run.older.name}" in ended.err
    assert left(run.folder) == expected
    for checkpoint in run.checkpoints.glob("step-*"):  # what was damaged is whole again, or gone
        manifest.verified(checkpoint)


@pytest.mark.parametrize("damage", [*DAMAGE, "lie"])
@pytest.mark.parametrize("name", ["last.json", "best.json"])
def test_e1_pointers_are_hints_and_their_damage_costs_nothing(
    run: Run, left: Left, expected: object, name: str, damage: str
) -> None:
    file = run.checkpoints / name
    if damage == "lie":
        file.write_text('{"checkpoint": "../../elsewhere", "file": "/etc/passwd"}')
    elif damage != "folder":  # what no damage of a disk, and no crash of zoo, makes of a file
        DAMAGE[damage](file)
    ended = run.resume()
    assert ended.code == 0
    assert f"going on from {run.newest.name}," in ended.err
    assert "the one before" not in ended.err
    assert left(run.folder) == expected


@pytest.mark.parametrize("damage", ["middle", "cut", "empty", "gone"])
@pytest.mark.parametrize("name", FILES)
def test_e1_with_no_whole_checkpoint_nothing_is_begun_anew(
    run: Run, tree: Tree, name: str, damage: str
) -> None:
    for checkpoint in (run.older, run.newest):
        DAMAGE[damage](checkpoint / name)
    (run.folder / "run.lock").unlink()  # of the killed process
    before = tree(run.folder)
    ended = run.resume()
    assert ended.code == 65
    assert "No checkpoint in" in ended.err
    assert "zoo run" in ended.err
    assert tree(run.folder) == before


def test_e1_checkpoints_that_vanished_are_missed(run: Run) -> None:
    for checkpoint in (run.older, run.newest):
        shutil.rmtree(checkpoint)
    ended = run.resume()
    assert ended.code == 65
    assert "No checkpoint in" in ended.err


def sealed(checkpoint: Path, **facts: object) -> None:
    """Change a manifest as somebody would who knows how it is made."""
    file = checkpoint / "manifest.json"
    said = {**json.loads(file.read_text()), **facts}
    said.pop("sha256")
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps({**said, "sha256": digest}))


def test_e2_a_checkpoint_of_a_newer_schema_is_never_half_read(run: Run, tree: Tree) -> None:
    sealed(run.newest, schema=manifest.SCHEMA + 1)
    (run.folder / "run.lock").unlink()
    before = tree(run.folder)
    ended = run.resume()
    assert ended.code == 78
    assert "newer zoo" in ended.err
    assert "Upgrade zoo-registry" in ended.err
    assert tree(run.folder) == before


def test_e2_a_plan_of_a_newer_schema_is_refused(run: Run) -> None:
    plan = json.loads((run.folder / "plan.json").read_text())
    (run.folder / "plan.json").write_text(json.dumps({**plan, "schema": plan["schema"] + 1}))
    ended = run.resume()
    assert ended.code == 78
    assert "schema" in ended.err


@pytest.mark.parametrize(
    "facts",
    [
        {"schema": "1"},
        {"files": []},
        {"files": {"state.safetensors": 3}},
        {"files": {"state.safetensors": {"size": "x", "sha256": 1}}},
        {"files": {}},
        {"seals": None},
    ],
    ids=str,
)
def test_e2_a_manifest_that_vouches_for_nonsense_is_damage(
    run: Run, left: Left, expected: object, facts: dict[str, Any]
) -> None:
    sealed(run.newest, **facts)
    ended = run.resume()
    assert ended.code == 0
    assert f"going on from the one before, {run.older.name}" in ended.err
    assert left(run.folder) == expected


def edited_plan(folder: Path) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    plan["settings"]["weight_decay"] = {"value": 0.125, "origin": "command line"}
    (folder / "plan.json").write_text(json.dumps(plan))


def edited_classes(folder: Path) -> None:
    classes = json.loads((folder / "classes.json").read_text())
    (folder / "classes.json").write_text(json.dumps(classes[::-1]))


def edited_split(folder: Path) -> None:
    text = (folder / "split.json").read_text()
    assert '"split": "val"' in text
    (folder / "split.json").write_text(text.replace('"split": "val"', '"split": "train"', 1))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (edited_plan, ["plan.json", "weight_decay", "0.125"]),
        (edited_classes, ["classes.json"]),
        (edited_split, ["split.json"]),
    ],
)
def test_c8_a_run_whose_plan_classes_or_split_were_edited_does_not_go_on(
    run: Run, tree: Tree, edit: Callable[[Path], None], words: list[str]
) -> None:
    edit(run.folder)
    (run.folder / "run.lock").unlink()
    before = tree(run.folder)
    ended = run.resume()
    assert ended.code == 78
    for word in (*words, "Changed since", "zoo run"):
        assert word in ended.err
    assert tree(run.folder) == before


@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
@pytest.mark.parametrize("name", ["plan.json", "classes.json", "split.json"])
def test_e1_a_run_whose_plan_classes_or_split_are_damaged_says_so(
    run: Run, name: str, damage: str
) -> None:
    DAMAGE[damage](run.folder / name)
    ended = run.resume()
    assert ended.code in ({66} if damage == "gone" else {65, 78})
    assert name in ended.err


NOT_OURS: dict[str, list[dict[str, Any]]] = {
    "split.json": [{"files": 3}, {"files": [{}]}, {"files": ["ant"]}, {"skipped": [{"name": []}]}],
    "plan.json": [{"observe": 3}, {"repeats": [1]}, {"repeats": {"run": "x", "drift": 3}}],
}


@pytest.mark.parametrize(
    ("name", "said"), [(name, said) for name, all_said in NOT_OURS.items() for said in all_said]
)
def test_e1_a_run_whose_plan_or_split_say_something_else_says_so(
    run: Run, broken: tuple[Path, Path], pictures: Path, name: str, said: dict[str, Any]
) -> None:
    def edited(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **said}))

    edited(run.folder)
    again = run.zoo("run", "--from", run.folder, "--out", run.folder.parent / "again")
    ended = [run.resume(), again]
    if name == "split.json":
        whole = shutil.copytree(broken[0], run.folder.parent / "whole")
        edited(whole)
        ended.append(run.zoo("eval", whole, "--data", pictures))
    for one in ended:
        assert one.code in {65, 78}
        assert f"{name} is damaged" in one.err


def test_e1_a_split_that_names_no_images_says_so(run: Run) -> None:
    (run.folder / "split.json").write_text("{}")
    ended = run.resume()
    assert ended.code == 65
    assert "split.json is damaged" in ended.err


@pytest.mark.parametrize("damage", ["a byte short", "first byte", "last byte", "gone", "zeros"])
def test_e1_a_damaged_log_of_epochs_is_told_and_changes_nothing_else(
    run: Run, left: Left, expected: dict[str, Any], damage: str
) -> None:
    DAMAGE[damage](run.folder / "metrics.jsonl")
    ended = run.resume()
    assert ended.code == 0
    found = left(run.folder)
    missing = len(expected["metrics"]) - len(found["metrics"])
    assert (f"{missing} epochs before the checkpoint are missing" in ended.err) == (missing > 0)
    assert found["metrics"] == [line for line in expected["metrics"] if line in found["metrics"]]
    assert {**found, "metrics": 0} == {**expected, "metrics": 0}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_e1_a_damaged_model_answers_nothing(
    forks: Forks, broken: tuple[Path, Path], pictures: Path, tmp_path: Path, name: str, damage: str
) -> None:
    folder = shutil.copytree(broken[0], tmp_path / "run")
    DAMAGE[damage](folder / "model" / name)
    ended = forks("predict", folder, pictures / "ant", cwd=tmp_path)
    assert ended.code in {65, 66}
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert name in ended.err or "holds no model" in ended.err


def test_e1_no_bit_of_a_model_card_can_be_turned_over_unnoticed(
    broken: tuple[Path, Path], tmp_path: Path
) -> None:
    from zoo.card import read_card

    folder = shutil.copytree(broken[0] / "model", tmp_path / "model")
    data = (folder / "model.json").read_bytes()
    whole = read_card(folder)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        (folder / "model.json").write_bytes(changed)
        try:
            said = read_card(folder)
        except BadWeights:
            continue
        assert said == whole, place  # white space that became other white space


def test_e9_a_run_that_was_copied_elsewhere_goes_on_and_answers(
    run: Run, left: Left, expected: object, tmp_path: Path, pictures: Path
) -> None:
    moved = tmp_path / "other place" / "copy"
    moved.parent.mkdir()
    run.folder.rename(moved)
    shutil.copytree(pictures, tmp_path / "other place" / "pictures")
    # As on a host that has never seen the images, and where they lie elsewhere.
    run.cache = tmp_path / "another cache"
    data = ("--data", tmp_path / "other place" / "pictures")
    assert run.zoo("resume", moved, *data).code == 0
    assert left(moved) == expected
    told = run.zoo("eval", moved, *data, "--json")
    assert (
        json.loads(told.out)["top1"]
        == json.loads((moved / "summary.json").read_text())["val"]["top1"]
    )
    assert run.zoo("predict", moved, tmp_path / "other place" / "pictures" / "ant").code == 0
