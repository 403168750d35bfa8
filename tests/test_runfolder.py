from __future__ import annotations

import json
import threading
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo import runfolder
from zoo.errors import BadData, CannotCreate, InputMissing, Mismatch
from zoo.history import EpochRecord
from zoo.runfolder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.plan import Plan


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(epoch: int, top1: float | None = 0.5) -> EpochRecord:
    return EpochRecord(
        phase="probe",
        epoch=epoch,
        step=epoch,
        loss=1.0,
        terms={"ce": 1.0},
        top1=top1,
        macro_f1=top1,
        lr=0.1,
        images_per_second=1.0,
        seconds=1.0,
    )


def test_numbers_are_given_once_however_many_ask() -> None:
    made: list[Path] = []
    gate = threading.Barrier(8)

    def make() -> None:
        gate.wait()
        made.extend(runfolder.create(None, "a+b+c").path for _ in range(5))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(Path(f"runs/a-b-c-{number}") for number in range(1, 41))


def test_a_number_that_is_taken_is_passed_over() -> None:
    Path("runs/demo-1").mkdir(parents=True)
    Path("runs/demo-2").write_text("a file of that name")
    assert runfolder.create(None, "demo").path == Path("runs/demo-3")


def test_an_empty_folder_will_do_and_a_full_one_will_not() -> None:
    out = Path("deep/er")
    assert runfolder.create(out, "x") == RunFolder(out)
    assert runfolder.create(out, "x") == RunFolder(out)
    (out / "file").write_text("")
    with pytest.raises(CannotCreate, match="not empty") as caught:
        runfolder.create(out, "x")
    assert caught.value.exit_code == 73


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_says_why(out: str) -> None:
    Path("file").write_text("")
    with pytest.raises(CannotCreate, match="cannot be made"):
        runfolder.create(Path(out), "x")


def test_runs_cannot_be_made_where_a_file_is_in_the_way() -> None:
    Path("runs").write_text("")
    with pytest.raises(CannotCreate, match="No run folder can be made in runs"):
        runfolder.create(None, "x")


def test_the_plan_comes_back(planned: Callable[..., Plan], tmp_path: Path) -> None:
    plan, folder = planned(seed=3), RunFolder(tmp_path)
    folder.write_plan(plan)
    assert folder.plan() == plan
    written = json.loads((tmp_path / "plan.json").read_text())
    assert written["packages"]["torch"] == metadata.version("torch")
    assert "zoo-heads" in written["plugins"]
    assert written["zoo"]
    assert runfolder.find(tmp_path) == folder


def test_a_plan_of_another_time_is_a_mismatch(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"schema": 7}')
    with pytest.raises(Mismatch, match="schema 7"):
        RunFolder(tmp_path).plan()


@pytest.mark.parametrize(
    ("text", "error"), [(None, InputMissing), ("{", BadData), ("[1]", BadData), ("\x00", BadData)]
)
def test_a_file_that_cannot_be_read_says_which(
    tmp_path: Path, text: str | None, error: type[Exception]
) -> None:
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(error, match=r"plan\.json"):
        RunFolder(tmp_path).read("plan.json")


def test_what_is_no_run_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no run folder") as caught:
        runfolder.find(tmp_path / "nowhere")
    assert caught.value.exit_code == 66


def test_records_are_lines_that_can_be_cut_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert [*folder.records()] == []
    for epoch in (1, 2, 3):
        folder.append(record(epoch, top1=None if epoch == 1 else 1 / 3))
    assert [one["epoch"] for one in folder.records()] == [1, 2, 3]
    assert [*folder.records()][1]["top1"] == 1 / 3
    before = (tmp_path / "metrics.jsonl").read_text()
    folder.keep_records(3)
    assert (tmp_path / "metrics.jsonl").read_text() == before
    folder.keep_records(1)
    assert [*folder.records()] == [record(1, top1=None).to_json()]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append(record(1))
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"phase": "pro')
    assert [*folder.records()] == [record(1).to_json()]
    folder.keep_records(1)
    folder.append(record(2))
    assert [one["epoch"] for one in folder.records()] == [1, 2]


def test_an_ending_says_how_when_and_why(tmp_path: Path) -> None:
    RunFolder(tmp_path).finish("failed", 65, "bad data")
    ending = json.loads((tmp_path / "exit.json").read_text())
    assert (ending["status"], ending["code"], ending["reason"]) == ("failed", 65, "bad data")
    assert ending["ended"].endswith("Z")


def test_what_holds_no_training_is_taken_away(tmp_path: Path) -> None:
    folder = runfolder.create(None, "x")
    other = runfolder.create(None, "x")
    folder.write("plan.json", {})
    folder.write("split.json", {})
    runfolder.discard_if_unused(folder)
    assert [path.name for path in Path("runs").iterdir()] == ["x-2"]
    other.append(record(1))
    runfolder.discard_if_unused(other)
    assert other.path.is_dir()
    del tmp_path


def test_an_empty_runs_folder_is_taken_away_with_its_last_run() -> None:
    runfolder.discard_if_unused(runfolder.create(None, "x"))
    assert not Path("runs").exists()
    runfolder.discard_if_unused(runfolder.create(Path("mine/x"), "x"))
    assert Path("mine").is_dir()
