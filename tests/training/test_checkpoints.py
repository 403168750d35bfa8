from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from zoo import stopping
from zoo.corridor import resume
from zoo.errors import BadData, Stopped
from zoo.progress import Silent
from zoo.runfolder import RunFolder
from zoo.training.checkpoints import newest_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Train = Any  # a fixture that trains
StopAt = Any  # a fixture that stops
Tiny = Any  # a fixture that installs a backbone
pytestmark = pytest.mark.usefixtures("tiny")
QUIET = Silent()
#: looks while the 15 pictures are hashed, before there is a run folder
HASHED = 15
#: what is different from run to run
TIMED = ("seconds", "images_per_second")


def left(folder: Path) -> dict[str, Any]:
    """What a run leaves, less times."""
    summary = json.loads((folder / "summary.json").read_text())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return {
        "model": (folder / "model" / "model.safetensors").read_bytes(),
        "metrics": [
            {key: value for key, value in json.loads(line).items() if key not in TIMED}
            for line in lines
        ],
        "summary": {key: value for key, value in summary.items() if key not in TIMED},
        "split": (folder / "split.json").read_text(),
        "plan": (folder / "plan.json").read_text(),
    }


def newest_of(checkpoints: Path) -> Path | None:
    """The folder of a run's newest whole checkpoint."""
    found = newest_checkpoint(checkpoints, RunFolder(checkpoints.parent).seals(), QUIET.note)
    return found.folder if found else None


@pytest.fixture
def stop_at(
    monkeypatch: pytest.MonkeyPatch, cold: Callable[[], None]
) -> Callable[[int], list[int]]:
    """Let somebody ask to stop before the n-th look; the looks so far are in the list returned.

    From then on the cache is an empty one, so that nothing is known of the images.
    """

    def at(limit: int) -> list[int]:
        cold()
        looks = [0]

        class Counting(stopping.Stop):
            def check(self) -> None:
                looks[0] += 1
                if looks[0] == limit:
                    self.signal = stopping.signal.SIGINT
                super().check()

        @contextlib.contextmanager
        def listening() -> Iterator[stopping.Stop]:
            yield Counting()

        monkeypatch.setattr(stopping, "listening", listening)
        return looks

    return at


RUNS = {
    "probe": {"epochs": 2, "batch_size": 5, "spec": "tiny/net+linear:dropout=0.5+cekl"},
    "full": {"train": "full", "epochs": 2, "batch_size": 5, "freeze_bn": "off", "lr": 0.01},
    "solved": {"epochs": None, "spec": "tiny/net+linear+cekl"},
    "swept": {"epochs": 1, "batch_size": 5, "probe.sweep": "lr:1e-3/1e-1,weight_decay:1/10"},
    "best": {"epochs": 3, "batch_size": 8, "select": "best", "lr": 0.5, "patience": 2},
    "sgd": {
        "train": "full",
        "epochs": 1,
        "batch_size": 5,
        "optimizer": "sgd",
        "balance": "sampler",
    },
    "lpft": {
        "train": "lpft",
        "spec": "tiny/net+contrastive+cekl:target=view",
        "epochs": 2,
        "probe.epochs": 2,
        "batch_size": 5,
        "lr": 0.01,
    },
    "quick kernels": {"train": "full", "epochs": 2, "batch_size": 5, "precision": "bf16"},
}
#: a run's backbone, where it is another
BACKBONES = {"quick kernels": "tiny_parts:mixed_net"}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_stopped_anywhere_and_resumed_is_the_unbroken_one(
    images: Path, tmp_path: Path, train: Train, stop_at: StopAt, tiny: Tiny, name: str
) -> None:
    tiny(target=BACKBONES.get(name, "tiny_parts:net"))
    looks = stop_at(0)
    whole = left(train(images, tmp_path / "whole", **RUNS[name]).folder)
    total = looks[0]
    assert total > HASHED + 15
    # The looks at the 15 pictures are alike: two of them will do.
    for limit in [HASHED + 1, *range(HASHED + 15, total + 1)]:
        stop_at(limit)
        folder = tmp_path / f"at {limit}"
        with pytest.raises(Stopped) as caught:
            train(images, folder, **RUNS[name])
        assert caught.value.hint == f"Go on with: zoo resume {folder}"
        assert json.loads((folder / "exit.json").read_text())["status"] == "stopped"
        stop_at(0)
        assert left(resume(folder, listener=QUIET).folder) == whole, limit
        assert json.loads((folder / "exit.json").read_text())["status"] == "finished"


def test_a_run_stopped_while_its_images_are_hashed_has_not_begun(
    images: Path, tmp_path: Path, train: Train, stop_at: StopAt
) -> None:
    for limit in (1, HASHED):
        stop_at(limit)
        with pytest.raises(Stopped):
            train(images, tmp_path / "run", **RUNS["probe"])
        assert not (tmp_path / "run").exists()


def test_a_run_stopped_again_and_again_gets_there(
    images: Path, tmp_path: Path, train: Train, stop_at: StopAt
) -> None:
    stop_at(0)
    whole = left(train(images, tmp_path / "whole", **RUNS["lpft"]).folder)
    folder = tmp_path / "run"
    stop_at(HASHED + 19)
    with pytest.raises(Stopped):
        train(images, folder, **RUNS["lpft"])
    for _ in range(40):
        stop_at(HASHED + 24)
        with contextlib.suppress(Stopped):
            resume(folder, listener=QUIET)
            break
    else:
        pytest.fail("it never got there")
    assert left(folder) == whole


@pytest.mark.parametrize("place", ["thaw", "final_scores"])
def test_a_run_that_died_after_a_phase_accounts_for_it_once(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def dying(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    whole = left(train(images, tmp_path / "whole", **RUNS["lpft"]).folder)
    with monkeypatch.context() as patch:
        patch.setattr(f"zoo.training.train.{place}", dying)
        with pytest.raises(ZeroDivisionError):
            train(images, tmp_path / "run", **RUNS["lpft"])
    ending = json.loads((tmp_path / "run" / "exit.json").read_text())
    assert (ending["status"], ending["code"]) == ("failed", 1)
    assert left(resume(tmp_path / "run", listener=QUIET).folder) == whole


def test_a_checkpoint_is_saved_when_its_time_has_come_and_two_are_kept(
    images: Path, tmp_path: Path, train: Train, stop_at: StopAt
) -> None:
    stop_at(HASHED + 20)
    with pytest.raises(Stopped):
        train(images, tmp_path / "run", **RUNS["probe"], **{"checkpoint.seconds": 0})
    found = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert len(found) == 2
    newest = tmp_path / "run" / "checkpoints" / found[-1]
    position = json.loads((newest / "position.json").read_text())
    assert newest_of(newest.parent) == newest
    assert json.loads((newest.parent / "last.json").read_text()) == {"checkpoint": found[-1]}
    assert int(found[-1].removeprefix("step-")) == position["position"]["step"]
    assert {path.name for path in newest.iterdir()} == {
        *("state.safetensors", "optimizer.safetensors", "best.safetensors"),
        *("position.json", "manifest.json"),
    }


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    images: Path, tmp_path: Path, train: Train, stop_at: StopAt
) -> None:
    settings = {**RUNS["full"], "checkpoint.seconds": 0}
    stop_at(0)
    whole = left(train(images, tmp_path / "whole", **settings).folder)
    stop_at(HASHED + 20)
    with pytest.raises(Stopped):
        train(images, tmp_path / "run", **settings)
    folder = tmp_path / "run" / "checkpoints"
    older, newest = sorted(folder.glob("step-*"))
    state = newest / "state.safetensors"
    data = bytearray(state.read_bytes())
    data[-1] ^= 1
    state.write_bytes(data)
    assert newest_of(folder) == older
    stop_at(0)
    assert left(resume(tmp_path / "run", listener=QUIET).folder) == whole


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut off": lambda folder: os.truncate(folder / "optimizer.safetensors", 9),
    "a file gone": lambda folder: (folder / "best.safetensors").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_checkpoints_none_of_which_is_whole_are_bad_data(
    images: Path, tmp_path: Path, train: Train, damage: str
) -> None:
    train(images, tmp_path / "run", **RUNS["probe"])
    folder = tmp_path / "run" / "checkpoints"
    for checkpoint in folder.glob("step-*"):
        DAMAGE[damage](checkpoint)
    with pytest.raises(BadData, match=r"No checkpoint in .* is whole") as caught:
        newest_of(folder)
    assert caught.value.exit_code == 65


def test_a_run_without_a_checkpoint_has_none(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"settings": {}}')
    for name in ("classes.json", "split.json"):
        (tmp_path / name).write_text("[]")
    assert newest_of(tmp_path / "checkpoints") is None


def test_the_best_epochs_pointer_names_a_checkpoint_that_holds_it(
    images: Path, tmp_path: Path, train: Train, stop_at: StopAt
) -> None:
    stop_at(0)
    settings = {"train": "lpft", "epochs": 1, "probe.epochs": 2, "select": "best"}
    folder = train(images, tmp_path / "run", **settings, **{"checkpoint.steps": 1}).folder
    pointer = json.loads((folder / "checkpoints" / "best.json").read_text())
    named = folder / "checkpoints" / pointer["checkpoint"]
    position = json.loads((named / "position.json").read_text())["position"]
    assert pointer["figure"] == position["best"] is not None
    assert pointer["epoch"] == position["best_epoch"]
    assert len((named / pointer["file"]).read_bytes()) > 1000


def test_two_whole_checkpoints_are_kept_beside_a_damaged_one(
    images: Path, tmp_path: Path, train: Train, stop_at: StopAt
) -> None:
    settings = {**RUNS["full"], "checkpoint.steps": 1}
    stop_at(HASHED + 20)
    with pytest.raises(Stopped):
        train(images, tmp_path / "run", **settings)
    folder = tmp_path / "run" / "checkpoints"
    _, newest = sorted(folder.glob("step-*"))
    (newest / "state.safetensors").write_bytes(b"")
    newest.rename(folder / "step-09999999")
    stop_at(HASHED + 20)
    with pytest.raises(Stopped):
        resume(tmp_path / "run", listener=QUIET)
    names = sorted(path.name for path in folder.glob("step-*"))
    assert len(names) == 2
    assert "step-09999999" not in names
    assert newest_of(folder) == folder / names[-1]
    shutil.rmtree(folder / names[-1])
    assert newest_of(folder) == folder / names[0]


def test_checkpoints_come_every_30_seconds_and_never_cost_a_fiftieth(
    monkeypatch: pytest.MonkeyPatch,
    planned: Any,  # noqa: ANN401 - a fixture that plans
) -> None:
    from types import SimpleNamespace

    from zoo.training import train as room

    now, saved = [1000.0], list[float]()
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    session = SimpleNamespace(plan=planned(), pause=lambda: None, wants_save=lambda: False)
    task = SimpleNamespace(position=SimpleNamespace(step=0))
    saver = room._Saver(session, task, 0, 0)  # type: ignore[arg-type]  # noqa: SLF001 - its clock is what is tested

    def save() -> None:
        saved.append(now[0])
        saver.saved = now[0]

    saver.save = save  # type: ignore[method-assign]
    for second in range(1, 101):
        now[0] = 1000.0 + second
        saver.pause()
    assert saved == [1030, 1060, 1090]
    saver.cost = 2.0  # seconds: too dear for that
    for second in range(101, 301):
        now[0] = 1000.0 + second
        saver.pause()
    assert saved[3:] == [1190, 1290]
