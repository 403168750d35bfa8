"""Pictures that are decoded while torch is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conftest import SPEC, in_this_process
from zoo import corridor, hot, pictures
from zoo.cli import main
from zoo.data import hashes, ingest
from zoo.errors import BadData, PluginFault, Stopped, StorageFault
from zoo.pictures import Wanted

from .ears import Ear, Halt, read

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from zoo.data.pool import Order, Task

Train = Any  # a fixture that trains
MODEL = "model/model.safetensors"
TWO_VIEWS = "tiny/net+contrastive+cekl"
RECIPES: dict[str, dict[str, Any]] = {
    "probe": {},
    "kept views": {"spec": TWO_VIEWS},
    "whole": {"train": "full", "epochs": 2},
    "both": {"train": "lpft", "epochs": 1, "probe__epochs": 1},
    "unchanged": {"train": "lpft", "epochs": 1, "augment": "off"},
}


class Children:
    """Stands in for the decoding children; knows what they were asked for, and by which thread."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.threads: set[bool] = set()

    def __call__(self, tasks: list[Task], order: Order, jobs: int) -> Generator[Any, None, None]:
        for answered in in_this_process(tasks, order, jobs):
            self.files.append(answered[0].path.name)
            self.threads.add(threading.current_thread() is threading.main_thread())
            yield answered


@pytest.fixture
def children(tiny: object, monkeypatch: pytest.MonkeyPatch) -> Children:
    """Decoding begins as early as in a process that has not imported torch yet."""
    del tiny
    found = Children()
    monkeypatch.setattr(hot, "is_open", lambda: False)
    monkeypatch.setattr(ingest, "in_children", found)
    return found


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_run_ends_in_the_same_bits_and_decodes_each_picture_once(
    images: Path, train: Train, children: Children, cold: Callable[[], None], recipe: dict[str, Any]
) -> None:
    early = train(images, "early", **recipe)
    assert len(children.files) == 15
    assert children.threads == {False}
    cold()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hot, "is_open", lambda: True)
        late = train(images, "late", **recipe)
    assert len(children.files) == 30
    assert children.threads == {False, True}
    assert (early.folder / MODEL).read_bytes() == (late.folder / MODEL).read_bytes()
    assert read(early.folder / "split.json") == read(late.folder / "split.json")
    assert early.summary["val"] == late.summary["val"]


def test_a_second_run_begins_nothing_early_and_decodes_nothing(
    images: Path, train: Train, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "UNSETTLED_NS", 0)  # the pictures were drawn just now
    for name, spec in (("a", SPEC), ("b", TWO_VIEWS)):
        train(images, name, spec=spec)
        children.files.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pictures, "Begun", None)  # which could not be called
            ear = Ear()
            train(images, f"{name} again", listener=ear, lr=0.01, spec=spec)
        assert children.files == []
        known = "data: 15 images, 0 hashed and 0 decoded, the others known from before"
        assert known in ear.notes
        assert not [note for note in ear.notes if "were loaded" in note]
        assert not any("features" in stage or "decode" in stage for stage in ear.stages)


def test_only_new_images_are_decoded_early(
    images: Path,
    train: Train,
    children: Children,
    draw: Any,  # noqa: ANN401 - a fixture
) -> None:
    train(images, "a")
    children.files.clear()
    draw(images, (1, 1, 1), first=7)
    ear = Ear()
    train(images, "b", listener=ear)
    # How many of them there was time for is the machine's affair, but never those known before.
    told = [note for note in ear.notes if "were loaded" in note]
    assert all(note.startswith("data: ") and " of 3 images were decoded" in note for note in told)
    assert children.files == ["7.png"] * 3
    assert children.threads == {False}


@pytest.mark.parametrize(("guessed", "train_as"), [("lpft", "probe"), ("probe", "full")])
def test_a_wrong_guess_changes_no_bit(
    images: Path, train: Train, children: Children, cold: Callable[[], None], guessed: str,
    train_as: str,
) -> None:  # fmt: skip
    def guess(*_: object, **__: object) -> tuple[str, str]:
        return guessed, ""

    given = {"train": train_as, "epochs": 2}
    expected = train(images, "expected", **given)
    cold()
    children.files.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "which", guess)
        found = train(images, "found", **given)
    assert (found.folder / MODEL).read_bytes() == (expected.folder / MODEL).read_bytes()
    assert found.summary["val"] == expected.summary["val"]


@pytest.mark.parametrize("early", [True, False])
def test_bad_images_are_refused_or_skipped_as_ever(
    images: Path, train: Train, children: Children, monkeypatch: pytest.MonkeyPatch, *, early: bool
) -> None:
    del children
    monkeypatch.setattr(hot, "is_open", lambda: not early)
    (images / "ant" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    with pytest.raises(BadData, match=r"1 of the images cannot be read:\n  images/ant/bad\.png: "):
        train(Path("images"), "out")
    assert not Path("out").exists()
    ear = Ear()
    run = train(Path("images"), "out", bad_images="skip", listener=ear)
    assert any(note.startswith("  images/ant/bad.png: ") for note in ear.notes)
    assert [one["name"] for one in read(run.folder / "split.json")["skipped"]] == ["ant/bad.png"]


def test_a_fault_of_the_disk_has_its_exit_code_and_leaves_no_run(
    images: Path, train: Train, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    del children

    def full(*_: object) -> None:
        raise StorageFault("There is no room.")

    monkeypatch.setattr("zoo.data.packs.Pack.reserve", full)
    with pytest.raises(StorageFault, match="no room"):
        train(images, "out")
    assert not Path("out").exists()


def test_a_run_that_is_refused_decodes_no_further(
    images: Path, train: Train, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = threading.Event()

    def waiting(*given: Any) -> Generator[Any, None, None]:  # noqa: ANN401 - passed on
        for answered in children(*given):
            assert refused.wait(10)
            yield answered

    def refuse(*_: object, **__: object) -> None:
        refused.set()
        raise PluginFault("It cannot be built.")

    monkeypatch.setattr(ingest, "in_children", waiting)
    monkeypatch.setattr(corridor, "prove", refuse)
    before = threading.active_count()
    with pytest.raises(PluginFault, match="cannot be built"):
        train(images, "out")
    assert threading.active_count() == before
    assert len(children.files) < 15
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_a_dry_run_decodes_nothing(images: Path, children: Children) -> None:
    given = [f"--data={images}", "--weights=none", "--train=full", "--device=cpu", "--dry-run"]
    with pytest.raises(SystemExit) as ended:
        main(["run", "tiny/net+linear+ce", *given])
    assert ended.value.code == 0
    assert children.files == []


def test_a_run_that_goes_on_decodes_early_what_is_gone_and_ends_in_the_same_bits(
    images: Path, train: Train, children: Children, cold: Callable[[], None]
) -> None:
    given = {"train": "full", "epochs": 2, "batch_size": 6}
    whole = train(images, "whole", **given)
    with pytest.raises(Stopped):
        train(images, "run", listener=Halt(), **given)
    cold()
    children.files.clear()
    ear = Ear()
    run = corridor.resume("run", listener=ear)
    assert len(children.files) == 15
    assert children.threads == {False}
    assert (run.folder / MODEL).read_bytes() == (whole.folder / MODEL).read_bytes()


def test_a_device_is_guessed_by_its_name_or_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pictures.probable_accelerator("cuda:1")
    assert not pictures.probable_accelerator("cpu")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(pictures, "_DRIVERS", (Path("nowhere"), Path(sys.executable)))
    assert pictures.probable_accelerator("auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not pictures.probable_accelerator("auto")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(pictures, "_DRIVERS", (Path("nowhere"),))
    assert not pictures.probable_accelerator("auto")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(pictures.platform, "machine", lambda: "arm64")
    assert pictures.probable_accelerator("auto")


def test_more_covers_less_and_not_the_other_way_round() -> None:
    yes, no = np.array([True, True]), np.array([True, False])
    assert Wanted(yes, yes, yes).covers(Wanted(yes, no, yes))
    assert not Wanted(yes, yes, no).covers(Wanted(yes, yes, yes))
    assert not Wanted(no, yes, yes).covers(Wanted(yes, yes, yes))


# A process that may not import torch before a child has answered; without torch in its modules it
# asks for the tiny backbone's catalog, which is what the command line would read from the cache.
ORDER = """
import sys, threading
from tests import conftest
from zoo import corridor, draft, index, inference
from zoo.data import ingest, pool

catalog = conftest.tiny_catalog()
for room in (corridor, draft, index, inference):
    room.catalog = lambda: catalog
sys.path.insert(0, str(conftest.PARTS))
answered = threading.Event()

def in_children(*given):
    for one in pool.in_children(*given):
        assert "torch.nn" not in sys.modules
        answered.set()
        yield one

ingest.in_children = in_children

class Last:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and not answered.wait(30):
            raise AssertionError("torch is imported, and no picture is decoded")

assert "torch" not in sys.modules
sys.meta_path.insert(0, Last())
from zoo.cli import main
main(["run", conftest.SPEC, "--data", "images", "--out", "out", "--weights", "none", "--train",
      "probe", "--epochs", "1", "--device", "cpu"])
"""


def test_pictures_are_decoded_before_torch_is_imported(images: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r})\n{ORDER}"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=images.parent,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ZOO_CACHE": str(tmp_path / "cache")},  # in which no feature is known
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / "summary.json").is_file()
