from __future__ import annotations

import json
import re
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import save_file

from zoo import corridor, pictures
from zoo.corridor import resume
from zoo.data.ingest import Problem
from zoo.ending import ending
from zoo.errors import (
    InputMissing,
    Mismatch,
    Stopped,
    StorageFault,
    UsageError,
)
from zoo.progress import Silent
from zoo.runfolder import RunFolder
from zoo.stopping import Stop

from .ears import Ear, Halt, Interrupt, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.data.ingest import Images
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


def test_a_resumed_run_says_where_it_goes_on(images: Path, tmp_path: Path, train: Train) -> None:
    with pytest.raises(Stopped):
        train(images, tmp_path / "run", listener=Halt(), train="full", batch_size=4)
    ear = Ear()
    resume(tmp_path / "run", listener=ear)
    (told,) = [note for note in ear.notes if note.startswith("checkpoint: ")]
    words = r"checkpoint: going on from step-\d{8}, full phase, epoch 1 of 3"
    assert re.fullmatch(words, told)


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


#: a run that saves after every step, and is stopped after the second
HALTED = {"train": "full", "epochs": 2, "batch_size": 4, "checkpoint.steps": 1}


def halted(images: Path, folder: Path, train: Train, **more: object) -> Path:
    with pytest.raises(Stopped):
        train(images, folder, listener=Halt(), **HALTED, **more)
    assert any((folder / "checkpoints").iterdir())
    return folder


def test_an_image_that_fails_in_passing_is_not_left_out_of_a_run_that_began_with_it(
    images: Path,
    tmp_path: Path,
    train: Train,
    cold: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = halted(images, tmp_path / "run", train, bad_images="skip")
    split = (folder / "split.json").read_bytes()
    cold()
    ingest = pictures.ingest

    def failing(paths: list[Path], **how: Any) -> Images:  # noqa: ANN401 - passed on
        found = ingest(paths, **how)
        found.problems = (Problem(2, paths[2], "decoding it kills the decoder (SIGKILL)"),)
        found.pixels_row[2] = found.canvas_row[2] = -1
        return found

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "ingest", failing)
        with pytest.raises(Mismatch, match=r"cannot be read now: .*SIGKILL"):
            resume(folder, listener=Silent())
    assert (folder / "split.json").read_bytes() == split
    assert resume(folder, listener=Silent()).summary["status"] == "finished"


def test_a_resume_that_fails_leaves_the_run_where_it_is(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(images, tmp_path / "run", train)

    def full(*_: object) -> None:
        raise StorageFault("There is no room.")

    with monkeypatch.context() as patch:
        patch.setattr(corridor, "ingested", full)
        with pytest.raises(StorageFault):
            resume(folder, listener=Silent())
    assert read(folder / "exit.json")["code"] == 74
    ear = Ear()
    assert resume(folder, listener=ear).summary["status"] == "finished"
    assert "checkpoint: none was saved yet; training begins at its beginning." in ear.notes


def test_another_teacher_is_a_mismatch(
    images: Path, tmp_path: Path, train: Train, finished: Path
) -> None:
    teaching = {"spec": "tiny/net+linear+cekl:target=teacher", "loss__teacher": str(finished)}
    folder = halted(images, tmp_path / "run", train, **teaching)
    other = train(images, tmp_path / "other", epochs=3, seed=5).folder
    shutil.rmtree(finished)
    shutil.copytree(other, finished)
    with pytest.raises(Mismatch, match="Changed since:\n  the teacher"):
        resume(folder, listener=Silent())


def test_a_run_goes_on_with_as_many_threads_as_it_began_with(
    images: Path, tmp_path: Path, train: Train
) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        folder = halted(images, tmp_path / "run", train)
        torch.set_num_threads(2)
        threads: list[int] = []

        class Watching(Ear):
            def note(self, line: str) -> None:
                super().note(line)
                threads.append(torch.get_num_threads())

        ear = Watching()
        resume(folder, listener=ear)
        assert threads[-1] == 1
        assert torch.get_num_threads() == 2  # what runs next has those that it had
    finally:
        torch.set_num_threads(before)
    assert [note for note in ear.notes if note.startswith("threads: 1, as the run began")]


def test_a_run_goes_on_in_the_precision_that_it_began_in(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the processor would not be asked for it now."""
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.device.has_matrix_units", lambda: True)
        whole = train(images, tmp_path / "whole", **HALTED)
        folder = halted(images, tmp_path / "run", train)
    assert read(folder / "plan.json")["device"]["precision"] == "bf16"
    done = resume(folder, listener=Silent())
    assert done.summary["device"]["precision"] == "bf16"
    weights = "model/model.safetensors"
    assert (folder / weights).read_bytes() == (whole.folder / weights).read_bytes()


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    plan = read(folder / "plan.json")
    change(plan)
    (folder / "plan.json").write_text(json.dumps(plan))


def test_a_run_goes_on_with_another_device_only_when_that_is_accepted(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = halted(images, tmp_path / "run", train)
    edited(folder, lambda plan: plan["device"].update(name="cuda", title="Card"))
    with pytest.raises(Mismatch, match="began on cuda in fp32, and this torch finds no") as caught:
        resume(folder, listener=Silent())
    assert "--accept-drift" in caught.value.hint
    ear = Ear()
    done = resume(folder, accept_drift=True, listener=ear)
    assert done.summary["device"]["name"] == "cpu"
    assert [note for note in ear.notes if note.startswith("drift: device: its name was cuda and")]
    assert "device: its name was cuda and is cpu" in done.summary["resumed_with"]
    assert "went on although device: its name was cuda and is cpu" in repr(done)


@pytest.mark.parametrize(
    "device", [{}, {"name": "abacus", "precision": "fp32", "channels_last": True}]
)
def test_a_damaged_record_of_the_device_is_told(
    images: Path, tmp_path: Path, train: Train, device: dict[str, object]
) -> None:
    folder = halted(images, tmp_path / "run", train)
    edited(folder, lambda plan: plan.update(device=device))
    with pytest.raises(Mismatch, match=r"plan\.json is damaged"):
        resume(folder, listener=Silent())


def test_what_is_not_as_it_was_is_told_and_kept(images: Path, tmp_path: Path, train: Train) -> None:
    folder = halted(images, tmp_path / "run", train)
    edited(folder, lambda plan: plan["packages"].update(numpy="1.0"))
    edited(folder, lambda plan: plan["plugins"]["zoo-losses"].update(sha256="0" * 64))
    edited(folder, lambda plan: plan["device"]["processor"].append("abacus"))
    ear = Ear()
    told = resume(folder, listener=ear).summary["resumed_with"]
    for begins in ("numpy was 1.0 and is ", "zoo-losses ", "device: its processor had abacus and"):
        assert any(one.startswith(begins) for one in told)
        assert any(note.startswith(f"drift: {begins}") for note in ear.notes)


def test_nothing_is_told_where_all_is_as_it_was(images: Path, tmp_path: Path, train: Train) -> None:
    folder, ear = halted(images, tmp_path / "run", train), Ear()
    assert "resumed_with" not in resume(folder, listener=ear).summary
    assert not [note for note in ear.notes if note.startswith("drift")]


def test_another_weights_file_is_a_mismatch(images: Path, tmp_path: Path, train: Train) -> None:
    from tests.parts.tiny_parts import Net

    weights = tmp_path / "net.safetensors"
    save_file(Net(8).state_dict(), weights)
    folder = halted(images, tmp_path / "run", train, weights=str(weights))
    save_file(Net(8).state_dict(), weights)
    with pytest.raises(Mismatch, match=r"weights: .*net\.safetensors is another"):
        resume(folder, accept_drift=True, listener=Silent())


def test_lost_data_of_a_run_with_checkpoints_are_no_reason_to_begin_anew(
    images: Path, tmp_path: Path, train: Train
) -> None:
    folder = halted(images, tmp_path / "run", train)
    for name in ("split.json", "metrics.jsonl"):
        (folder / name).unlink()
    with pytest.raises(InputMissing, match=r"split\.json cannot be read"):
        resume(folder, listener=Silent())


def test_how_a_run_ended_is_told_even_by_a_second_signal(tmp_path: Path) -> None:
    stop = Stop()
    with ending(RunFolder(tmp_path), Silent(), stop, resumed=False):
        assert stop.before_exit
        stop.before_exit(143)
        told = read(tmp_path / "exit.json")
    assert (told["status"], told["code"]) == ("stopped", 143)
