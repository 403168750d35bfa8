"""A run repeated: to the last bit, or refused line by line for what drifted."""

from __future__ import annotations

import json
import shutil
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file, save_file

import zoo
from tests.replayed import edited, read, result
from zoo import hot, provenance
from zoo.errors import CannotCreate, InputMissing, Mismatch, Refused, Stopped
from zoo.progress import Silent
from zoo.replay import repeat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.index import Catalog

Train = Any  # a fixture that trains
pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="solved for"),
        pytest.param({"train": "lpft", "batch_size": 4, "seed": 5}, id="lpft"),
        pytest.param(
            {"spec": "tiny/net+contrastive:width=16+cekl:target=view"}, id="options, views"
        ),
        pytest.param({"image_size": 24, "head__dropout": 0.3, "lr": 0.01}, id="sizes"),
        pytest.param({"spec": "tiny/net.v2+linear:dropout=0.1+ce"}, id="a tag"),
    ],
)
def test_without_drift_a_repeated_run_is_the_run_to_the_last_bit(
    images: Path, tmp_path: Path, train: Train, settings: dict[str, Any]
) -> None:
    first = train(images, tmp_path / "first", **{"epochs": 2, **settings}).folder
    again = repeat(first, out=tmp_path / "again", listener=Silent())
    assert result(again.folder) == result(first)
    assert again.summary["repeats"] == {"run": str(first), "drift": []}
    before, after = (read(run, "plan.json") for run in (first, again.folder))
    assert "repeats" not in before
    assert after.pop("repeats") == {"run": str(first), "drift": []}
    assert after == before
    assert "with nothing different" in repr(again)
    assert "with nothing different" in (again.folder / "report.html").read_text()


def test_a_repetition_can_be_repeated_and_names_the_run_that_it_repeats(
    finished: Path, images: Path, tmp_path: Path
) -> None:
    second = repeat(finished, data=images, out=tmp_path / "second", listener=Silent())
    third = repeat(second.folder, out=tmp_path / "third", listener=Silent())
    assert result(third.folder) == result(finished)
    assert third.summary["repeats"]["run"] == str(second.folder)


def test_images_that_were_moved_are_found_where_data_says(
    images: Path, tmp_path: Path, train: Train
) -> None:
    first = train(images, tmp_path / "first").folder
    moved = images.rename(tmp_path / "elsewhere")
    with pytest.raises(InputMissing):
        repeat(first, listener=Silent())
    again = repeat(first, data=moved, listener=Silent())
    assert result(again.folder) == result(first)
    assert read(again.folder, "plan.json")["data"] == str(moved)


def test_files_that_were_skipped_are_skipped_again(
    images: Path, tmp_path: Path, train: Train
) -> None:
    (images / "ant" / "2.png").write_bytes(b"no picture")
    first = train(images, tmp_path / "first", bad_images="skip").folder
    again = repeat(first, listener=Silent())
    assert result(again.folder) == result(first)


def test_a_run_that_was_stopped_is_repeated_from_its_beginning(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(images, tmp_path / "whole").folder

    def ended(*_given: object, **_more: object) -> None:
        raise Stopped("Stopped by a test.")

    with monkeypatch.context() as patch:
        patch.setattr(hot.room("train"), "train", ended)
        with pytest.raises(Stopped):
            train(images, tmp_path / "stopped")
    again = repeat(tmp_path / "stopped", listener=Silent())
    assert result(again.folder) == result(whole)


CHANGES: dict[str, Callable[[Path], object]] = {
    "came: ant/new.png": lambda data: shutil.copy(data / "bee/0.png", data / "ant/new.png"),
    "gone: cat/2.png": lambda data: (data / "cat/2.png").unlink(),
    "changed: bee/1.png": lambda data: shutil.copy(data / "bee/2.png", data / "bee/1.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_images_are_refused_by_name_or_accepted_and_reported(
    finished: Path, images: Path, tmp_path: Path, change: str
) -> None:
    CHANGES[change](images)
    before = {*tmp_path.iterdir()}
    with pytest.raises(Mismatch) as caught:
        repeat(finished, data=images, listener=Silent())
    assert caught.value.exit_code == 78
    assert f"changed:\n  {change}" in caught.value.message
    assert "--accept-drift" in caught.value.hint
    assert {*tmp_path.iterdir()} == before, "a refused repetition leaves nothing"
    again = repeat(finished, data=images, accept_drift=True, listener=Silent())
    (told,) = again.summary["repeats"]["drift"]
    assert change in told
    assert read(again.folder, "plan.json")["repeats"]["drift"] == [told]
    assert change in repr(again)
    assert change in (again.folder / "report.html").read_text()


def test_everything_that_drifted_is_named_at_once_with_what_installs_it(
    finished: Path, images: Path
) -> None:
    (images / "cat" / "2.png").unlink()
    plan = read(finished, "plan.json")
    plan["plugins"]["zoo-heads"]["sha256"] = 64 * "0"
    plan["plugins"]["zoo-losses"] |= {"version": "0.9", "requirement": "zoo-losses==0.9"}
    plan["packages"]["torch"] = "2.0.1"
    edited(finished, **plan)
    with pytest.raises(Mismatch) as caught:
        repeat(finished, data=images, listener=Silent())
    lines = caught.value.message.splitlines()
    assert any(line.startswith("  zoo-heads 0.1.0: its files are not those") for line in lines)
    assert any(line.startswith("  zoo-losses was 0.9 and is 0.1.0: ") for line in lines)
    torch = f"  torch was 2.0.1 and is {metadata.version('torch')}: "
    assert any(line.startswith(torch) and line.endswith("torch==2.0.1") for line in lines)
    assert "  gone: cat/2.png" in lines
    assert "zoo-losses==0.9 torch==2.0.1" in caught.value.hint


def test_a_library_that_no_part_of_the_run_requires_may_be_another(
    finished: Path, images: Path
) -> None:
    plan = read(finished, "plan.json")
    assert {"timm", "torchvision", "numpy", "pillow", "torch"} <= plan["packages"].keys()
    plan["packages"] |= {"timm": "0.0.1", "torchvision": "0.0.1"}
    edited(finished, **plan)
    assert repeat(finished, data=images, listener=Silent()).summary["repeats"]["drift"] == []


def test_another_device_is_drift(finished: Path, images: Path, tmp_path: Path) -> None:
    plan = read(finished, "plan.json")
    edited(finished, device={**plan["device"], "title": "An accelerator"})
    with pytest.raises(Mismatch, match=r"device: its title was An accelerator and is CPU"):
        repeat(finished, data=images, out=tmp_path / "again", listener=Silent())
    assert not (tmp_path / "again").exists()
    again = repeat(finished, data=images, accept_drift=True, listener=Silent())
    assert len(again.summary["repeats"]["drift"]) == 1


def test_a_component_described_otherwise_is_resolved_anew_where_drift_is_accepted(
    finished: Path, images: Path, tiny: Callable[..., Catalog]
) -> None:
    tiny(
        options={
            "width": zoo.Option(type="int", default=3, minimum=1),
            "img_size": zoo.Option(type="int", default=None, minimum=1),
            "unknown": zoo.Option(type="int", default=1),
        },
        target="tiny_parts:other_net",
    )
    with pytest.raises(Mismatch, match="is another than the run's"):
        repeat(finished, data=images, accept_drift=True, listener=Silent())
    plan = read(finished, "plan.json")
    plan["packages"]["torch"] = "2.0.1"  # something drifted, so the component may have
    edited(finished, **plan)
    again = repeat(finished, data=images, accept_drift=True, listener=Silent())
    chosen = read(again.folder, "plan.json")["backbone"]
    assert chosen["options"] == {"width": 8, "img_size": None, "unknown": 1}
    assert chosen["component"]["target"] == "tiny_parts:other_net"
    assert result(again.folder)["val"] == result(finished)["val"]
    assert read(again.folder, "plan.json")["phases"] == plan["phases"]


def test_another_weights_file_of_the_same_name_is_drift(
    images: Path, tmp_path: Path, train: Train
) -> None:
    file = tmp_path / "net.safetensors"
    state = import_module("tiny_parts").net(None).state_dict()
    save_file(state, file)
    first = train(images, tmp_path / "first", weights=str(file)).folder
    assert result(repeat(first, listener=Silent()).folder) == result(first)
    save_file({name: one + 1 for name, one in load_file(file).items()}, file)
    with pytest.raises(Mismatch, match=f"weights: {file} is another"):
        repeat(first, listener=Silent())
    file.unlink()
    with pytest.raises(Mismatch, match=f"weights: {file} is gone"):
        repeat(first, listener=Silent())


def test_another_teacher_is_drift(
    images: Path, tmp_path: Path, train: Train, finished: Path
) -> None:
    spec = "tiny/net+linear+cekl:target=teacher"
    first = train(images, tmp_path / "first", spec=spec, loss__teacher=str(finished)).folder
    assert result(repeat(first, listener=Silent()).folder) == result(first)
    card = finished / "model" / "model.json"
    card.write_text(card.read_text() + " ")
    with pytest.raises(Mismatch, match=f"teacher: {finished} is another"):
        repeat(first, listener=Silent())


def test_a_run_of_an_older_zoo_is_held_to_the_versions_that_it_kept(
    finished: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The distributions of the heads and losses, whose versions the tiny catalog makes up.
    monkeypatch.setattr(provenance, "_version", {"zoo-heads": "1.0", "zoo-losses": "1.0"}.get)
    plan = read(finished, "plan.json")
    for key in ("packages", "plugins", "python", "files"):
        del plan[key]
    (finished / "plan.json").write_text(json.dumps(plan))

    class Ear(Silent):
        said: tuple[str, ...] = ()

        def note(self, line: str) -> None:
            self.said += (line,)

    ear = Ear()
    again = repeat(finished, data=images, listener=ear)
    assert result(again.folder) == result(finished)
    assert "provenance: an older zoo made the run, and kept no hashes of its plugins" in ear.said
    edited(finished, zoo="0.0.9")
    with pytest.raises(Mismatch, match=r"zoo-registry was 0\.0\.9 and is 0\.1\.0"):
        repeat(finished, data=images, listener=Silent())


@pytest.mark.parametrize(
    "changes",
    [
        {"packages": {"torch; rm -rf .": "1"}},
        {"packages": {"torch": "1 && reboot"}},
        {"plugins": {"zoo-heads": {"version": "1"}}},
        {"plugins": ["zoo-heads"]},
        {
            "plugins": {
                "zoo-heads": {
                    "version": "1", "sha256": "", "requirement": "evil @ https://e.example/e.whl",
                    "libraries": [],
                }
            }
        },
        {"files": {"weights": "x"}},
        {"loaded": {"sha256": "x", "commit": ""}},
        {"loaded": {"sha256": "", "commit": "main; reboot"}},
        {"loaded": ["x"]},
        {"zoo": "$(reboot)"},
    ],
)  # fmt: skip
def test_a_strangers_record_is_names_versions_and_hashes_or_is_refused(
    finished: Path, images: Path, changes: dict[str, Any]
) -> None:
    edited(finished, **changes)
    with pytest.raises(Mismatch, match=r"plan\.json is damaged"):
        repeat(finished, data=images, listener=Silent())


@pytest.mark.parametrize("accept", [False, True])
def test_weights_come_from_where_the_installed_plugin_says_and_never_from_a_strangers_plan(
    finished: Path, images: Path, monkeypatch: pytest.MonkeyPatch, *, accept: bool
) -> None:
    def fetched(source: str, *_given: object, **_more: object) -> Path:
        raise AssertionError(f"{source} would be fetched")

    monkeypatch.setattr("zoo.fetch.fetch_file", fetched)
    strange = {
        "mode": "tag",
        "tag": "v1",
        "source": "https://e.example/w",
        "sha256": "",
        "file": "",
    }
    edited(finished, weights=strange)
    with pytest.raises(Refused, match=r"which tiny/net \(zoo-tiny 1\.0\) does not name"):
        repeat(finished, data=images, accept_drift=accept, listener=Silent())


def test_a_repetition_is_never_written_into_the_images(finished: Path, images: Path) -> None:
    with pytest.raises(CannotCreate, match="inside the data folder"):
        repeat(finished, data=images, out=images / "run", listener=Silent())
    assert not (images / "run").exists()


def test_settings_that_this_zoo_does_not_take_are_refused(finished: Path, images: Path) -> None:
    settings = read(finished, "plan.json")["settings"]
    edited(finished, settings={**settings, "strange": {"value": 1, "origin": "default"}})
    with pytest.raises(Mismatch, match="holds what this zoo does not take: strange"):
        repeat(finished, data=images, listener=Silent())
