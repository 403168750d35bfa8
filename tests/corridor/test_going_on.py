from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from zoo.corridor import resume
from zoo.errors import (
    InputMissing,
    Mismatch,
    Stopped,
    UsageError,
)
from zoo.progress import Silent

from .ears import Interrupt, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.index import Catalog

Train = Any  # a fixture that trains
Draw = Any  # a fixture that draws pictures
pytestmark = pytest.mark.usefixtures("tiny")


# going on


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_in_good_order_and_the_run_can_go_on(
    images: Path, tmp_path: Path, train: Train, number: signal.Signals, code: int
) -> None:
    handler = signal.getsignal(number)
    ear = Interrupt(number, at=3)
    with pytest.raises(Stopped, match=f"Stopped by {number.name}") as caught:
        train(images, tmp_path / "run", listener=ear)
    assert caught.value.exit_code == code
    assert ear.open == 0
    assert signal.getsignal(number) is handler
    ending = read(tmp_path / "run" / "exit.json")
    assert (ending["status"], ending["code"]) == ("stopped", code)
    assert resume(tmp_path / "run", listener=Silent()).summary["status"] == "finished"


def stopped(images: Path, folder: Path, train: Train) -> Path:
    with pytest.raises(Stopped):
        train(images, folder, listener=Interrupt(signal.SIGINT, at=17))
    return folder


def test_a_finished_run_is_not_resumed(finished: Path) -> None:
    with pytest.raises(UsageError, match="is finished"):
        resume(finished)


def test_what_is_no_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match=r"no run folder: it holds no plan\.json"):
        resume(tmp_path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "1 files came, 0 went, 0 changed:\n  came: ant/new.png": lambda data: shutil.copy(
        data / "bee" / "0.png", data / "ant" / "new.png"
    ),
    "0 files came, 1 went, 0 changed:\n  gone: cat/2.png": lambda data: (
        data / "cat/2.png"
    ).unlink(),
    "0 files came, 0 went, 1 changed:\n  changed: bee/1.png": lambda data: shutil.copy(
        data / "bee/2.png", data / "bee/1.png"
    ),
    "1 files came, 1 went, 0 changed:\n  came: bee/9.png\n  gone: ant/1.png": lambda data: (
        data / "ant/1.png"
    ).rename(data / "bee/9.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_data_that_changed_are_a_mismatch(
    images: Path, tmp_path: Path, train: Train, change: str
) -> None:
    folder = stopped(images, tmp_path / "run", train)
    CHANGES[change](images)
    with pytest.raises(Mismatch) as caught:
        resume(folder)
    assert change in caught.value.message
    assert caught.value.exit_code == 78


def test_a_stored_split_outlives_another_rule_of_splitting(
    images: Path, tmp_path: Path, train: Train
) -> None:
    folder = stopped(images, tmp_path / "run", train)
    split = read(folder / "split.json")
    for one in split["files"]:
        one["split"] = {"val": "train", "train": "train"}[one["split"]]
    for one in split["files"][:5]:
        one["split"] = "val" if one["name"] in {"ant/0.png", "ant/1.png"} else "train"
    (folder / "split.json").write_text(json.dumps(split))
    done = resume(folder, listener=Silent())
    assert read(folder / "split.json")["files"] == split["files"]
    assert done.summary["val"]["n"] == 2


def test_a_plugin_that_is_gone_or_another_is_a_mismatch(
    images: Path, tmp_path: Path, train: Train, tiny: Callable[..., Catalog]
) -> None:
    folder = stopped(images, tmp_path / "run", train)
    tiny(target="elsewhere:net")
    with pytest.raises(Mismatch, match="is another than the run's"):
        resume(folder)
    tiny(name="other")
    with pytest.raises(Mismatch, match=r"used tiny/net \(zoo-tiny 1\.0\), which is not") as caught:
        resume(folder)
    assert "zoo-tiny==1.0" in caught.value.hint
