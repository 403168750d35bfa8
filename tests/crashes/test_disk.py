"""A disk that is full, gives out, or may not be written (P6 to P9)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

Forks = Any  # a fixture that runs command lines in children
Left = Any  # a fixture that reads what a run left
Tree = Any  # a fixture that hashes the files below a folder
COMMAND = (
    *("run", "tiny/net+linear:dropout=0.5+cekl", "--weights", "none", "--device", "cpu"),
    *("--train", "probe", "--epochs", "2", "--batch-size", "12"),
    *("--set", "checkpoint.steps=1", "--set", "checkpoint.seconds=100000"),
)
SHORT = ("--epochs", "1")
NOBODY = 65534


class Disk:
    """A run on a disk with faults: its folder, and a cache that knows the images' features."""

    def __init__(self, forks: Forks, folder: Path, cache: Path, images: Path) -> None:
        self.forks, self.folder, self.cache, self.images = forks, folder, cache, images
        self.run = folder / "run"

    def zoo(self, *arguments: object, **how: Any) -> Any:  # noqa: ANN401 - how it ended
        env = {"ZOO_CACHE": str(self.cache), "ZOO_CONFIG": str(self.folder / "config")}
        ended = self.forks(*arguments, cwd=self.folder, env=env, **how)
        assert "Traceback" not in ended.err, ended.err
        return ended

    def start(self, *options: str, **how: Any) -> Any:  # noqa: ANN401 - how it ended
        return self.zoo(*COMMAND, *options, "--data", self.images, "--out", self.run, **how)

    def go_on(self, *options: str) -> Any:  # noqa: ANN401 - how it ended
        """Resume the run, or begin it where it never began."""
        begun = (self.run / "plan.json").exists()
        return self.zoo("resume", self.run) if begun else self.start(*options)


@pytest.fixture(scope="module")
def _whole(forks: Forks, _images: Path, tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """The run on a disk without faults."""
    folder = tmp_path_factory.mktemp("whole")
    disk = Disk(forks, folder, folder / "cache", _images)
    assert disk.start().code == 0
    return disk


@pytest.fixture
def disk(_whole: Disk, tmp_path: Path) -> Disk:
    return Disk(_whole.forks, tmp_path, _whole.cache, _whole.images)


@pytest.fixture
def expected(left: Left, _whole: Disk) -> Any:  # noqa: ANN401 - see `left`
    return left(_whole.run)


def checkpoints(run: Path) -> list[str]:
    """The names of a run's checkpoints, every one of which must be whole."""
    found = sorted(run.glob("checkpoints/step-*"))
    for checkpoint in found:
        manifest.verified(checkpoint)
    return [checkpoint.name for checkpoint in found]


def state(run: Path) -> tuple[frozenset[str], int]:
    """What a run has come to: its files, each of which is whole, and its epochs."""
    names = [str(path.relative_to(run)) for path in run.rglob("*")]
    log = run / "metrics.jsonl"
    epochs = len(log.read_bytes().splitlines()) if log.exists() else 0
    finished = is_finished(run)
    return frozenset({*names, f"finished: {finished}"} - {"exit.json"}), epochs


def is_finished(run: Path) -> bool:
    file = run / "exit.json"
    return file.exists() and json.loads(file.read_text())["status"] == "finished"


def unfinished(run: Path) -> list[Path]:
    return [*run.rglob(".tmp-*")]


def calls(disk: Disk, folder: Path, *options: str) -> list[str]:
    """What an unbroken run asks of the system below a folder."""
    log = disk.folder / "calls"
    fault = {"call": "any", "below": str(folder), "at": 0, "kind": "EIO", "log": str(log)}
    assert disk.start(*options, fault={**fault, "lasting": False}).code == 0
    return [line.split(" ", 1)[1] for line in log.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO", "EDQUOT", "EROFS"])
def test_p7_any_call_to_the_disk_may_fail_and_nothing_is_lost(
    disk: Disk, left: Left, kind: str
) -> None:
    """Every call fails, for one reason or another, alone or with all that come after it."""
    asked = calls(disk, disk.run, *SHORT)
    expected = left(disk.run)
    gone_on = {state(disk.run)}  # where the very last step fails, all is done
    assert len(asked) > 100
    kinds = ["ENOSPC", "EIO", "EDQUOT", "EROFS"]
    for at, call in enumerate(asked, 1):
        if kinds[at % len(kinds)] != kind:  # the code never looks at the reason
            continue
        case = Disk(disk.forks, disk.folder / f"{at}", disk.cache, disk.images)
        case.folder.mkdir()
        fault = {"call": "any", "below": str(case.run), "at": at, "kind": kind}
        ended = case.start(*SHORT, fault={**fault, "lasting": at % 8 < 4})
        where = (at, call, ended.err)
        if ended.code == 0:  # a hint could not be written, or a way around was found
            assert left(case.run) == expected, where
            continue
        assert ended.code in {73, 74}, where
        assert str(case.run) in ended.err, where
        assert not unfinished(case.run), where
        checkpoints(case.run)
        if state(case.run) not in gone_on:  # what is left decides how it goes on
            gone_on.add(state(case.run))
            assert case.go_on(*SHORT).code == 0, where
            assert left(case.run) == expected, where
    assert len(gone_on) > 8


def test_p7_a_write_of_less_than_was_asked_is_gone_on_with(
    disk: Disk, left: Left, expected: object
) -> None:
    writes = [call for call in calls(disk, disk.run) if call.startswith("write ")]
    for at in range(1, len(writes) + 1, 3):
        case = Disk(disk.forks, disk.folder / f"{at}", disk.cache, disk.images)
        case.folder.mkdir()
        fault = {"call": "write", "below": str(case.run), "at": at, "kind": "SHORT"}
        ended = case.start(fault={**fault, "lasting": at % 2 == 0})
        assert ended.code == 0, (at, ended.err)
        assert left(case.run) == expected


def test_p6_a_disk_that_fills_up_at_any_write_of_a_checkpoint_costs_that_one_only(
    disk: Disk, left: Left, expected: object
) -> None:
    """From some write of the second checkpoint on, no byte finds room, as when a disk is full."""
    asked = calls(disk, disk.run)
    writes = [call for call in asked if call.startswith("write ")]
    second = [at for at, call in enumerate(writes, 1) if ".tmp-step-00000002" in call]
    # Five files in two halves, none of them empty; and once more when its epoch is validated.
    assert len(second) == 2 * 2 * 5
    for at in second:
        case = Disk(disk.forks, disk.folder / f"{at}", disk.cache, disk.images)
        case.folder.mkdir()
        fault = {"call": "write", "below": str(case.run), "at": at, "kind": "ENOSPC"}
        ended = case.start(fault={**fault, "lasting": True})
        assert ended.code == 74, (at, ended)
        assert "No space left on device (" in ended.err  # and how many bytes were wanted
        assert "Free space" in ended.err
        once = ["step-00000002"] if at in second[10:] else []
        assert checkpoints(case.run) == ["step-00000001", *once]
        assert not unfinished(case.run)
        again = case.zoo("resume", case.run)
        assert again.code == 0, again.err
        assert left(case.run) == expected


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_p6_files_of_limited_size_are_a_storage_fault(
    disk: Disk, left: Left, expected: object, share: float
) -> None:
    largest = max(file.stat().st_size for file in disk.cache.parent.glob("run/checkpoints/*/*"))
    ended = disk.start(file_limit=int(share * largest))
    assert ended.code == 74, ended
    assert "File too large" in ended.err
    assert checkpoints(disk.run) == []
    assert not unfinished(disk.run)
    assert disk.go_on().code == 0
    assert left(disk.run) == expected


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 192 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", folder], check=False,
        capture_output=True,
    ).returncode:  # fmt: skip
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_p6_a_small_disk_that_is_really_full(
    disk: Disk, small: Path, left: Left, expected: object
) -> None:
    """Filled up to the last page, then freed by one page after the other."""
    disk.run = small / "run"
    fill = small / "fill"
    codes = set()
    for kilobytes in range(188, 0, -16):
        shutil.rmtree(disk.run, ignore_errors=True)
        fill.write_bytes(bytes(kilobytes * 1024))
        ended = disk.start()
        codes.add(ended.code)
        if ended.code == 0:
            break
        assert ended.code in {73, 74}, ended
        assert not unfinished(disk.run)
        checkpoints(disk.run)
        fill.unlink()
        assert disk.go_on().code == 0
        assert left(disk.run) == expected
    assert {0, 74} <= codes <= {0, 73, 74}


@pytest.mark.parametrize(
    "where", ["read-only folder", "read-only parent", "a file", "below a file"]
)
def test_p8_a_place_that_cannot_be_written_is_refused_before_any_work(
    disk: Disk, tmp_path: Path, tree: Tree, where: str
) -> None:
    if os.getuid():
        pytest.skip("needs root, to become a user who may not write there")
    disk.cache = shutil.copytree(disk.cache, tmp_path / "cache")
    disk.images = shutil.copytree(disk.images, tmp_path / "images")
    for path in [disk.cache, *disk.cache.rglob("*"), disk.images]:
        os.chown(path, NOBODY, NOBODY)
    for folder in (tmp_path, *tmp_path.parents[:2]):  # pytest's, which are for one user
        folder.chmod(0o755)
    (tmp_path / "locked").mkdir(mode=0o755)
    (tmp_path / "file").write_text("mine")
    disk.run = {
        "read-only folder": tmp_path / "locked",
        "read-only parent": tmp_path / "locked" / "run",
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "run",
    }[where]
    before = tree(tmp_path)
    ended = disk.start(user=NOBODY)
    assert ended.code == 73, ended
    assert str(disk.run) in ended.err
    assert "--out" in ended.err
    assert "probe 1" not in ended.err
    assert tree(tmp_path) == before


def test_p8_a_rename_across_disks_is_never_asked_for(disk: Disk, tmp_path: Path) -> None:
    """What is written lies beside its target from the beginning: on the same disk, that is."""
    log = [call.split(" ", 1) for call in calls(disk, disk.run)]
    opened = {path for call, path in log if call == "open"}
    assert opened
    assert all(Path(path).is_relative_to(disk.run) for path in opened)
    assert tmp_path in disk.run.parents


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_p9_a_run_folder_that_goes_away_is_not_made_again(disk: Disk, how: str) -> None:
    done = threading.Event()

    def take_away() -> None:
        while not list(disk.run.glob("checkpoints/step-*")):
            time.sleep(0.001)
        disk.run.rename(disk.folder / "elsewhere")
        done.set()

    thread = threading.Thread(target=take_away)
    thread.start()
    slow = ("--epochs", "2000")
    ended = disk.zoo(*COMMAND, *slow, "--data", disk.images, "--out", disk.run)
    thread.join()
    assert done.is_set()
    assert ended.code == 74, ended
    assert str(disk.run) in ended.err
    assert not disk.run.exists()
    if how == "removed":
        shutil.rmtree(disk.folder / "elsewhere")
        again = disk.zoo("resume", disk.run)
        assert again.code == 66
    else:
        checkpoints(disk.folder / "elsewhere")
        plan = json.loads((disk.folder / "elsewhere" / "plan.json").read_text())
        assert plan["settings"]["epochs"]["value"] == 2000
