from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from zoo import caches, folders
from zoo.data import demo
from zoo.data.decode import decode
from zoo.data.split import digests
from zoo.data.table import read_table
from zoo.errors import StorageFault


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "EACH", 4)
    return demo.demo_folder()


def test_the_drawings_are_a_balanced_labelled_set(few: Path) -> None:
    table = read_table(few)
    assert table.classes == ("balloon", "fish", "house", "sailboat", "tree")
    assert len(table.rows) == 20
    assert table.ignored == ()
    assert len(set(digests(table.rows))) == 20
    for row in table.rows:
        image = decode(row.path)
        assert 160 <= min(image.size) <= max(image.size) <= 256
        assert np.asarray(image).std() > 5


def test_drawing_is_deterministic_and_done_once(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digests(read_table(few).rows)
    (few / "balloon" / "mark").touch()
    assert demo.demo_folder() == few
    assert (few / "balloon" / "mark").exists()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "other"))
    assert digests(read_table(demo.demo_folder()).rows) == first


def test_a_failure_leaves_nothing_half_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "_picture", fail)
    with pytest.raises(StorageFault, match="No space left"):
        demo.demo_folder()
    assert list(folders.cache().iterdir()) == []


def test_two_processes_that_draw_at_once_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    folder = tmp_path / f"demo-v{demo.VERSION}"

    def other(drafts: Path) -> None:
        (drafts / "mine").touch()
        folder.mkdir()
        (folder / "theirs").touch()

    monkeypatch.setattr(demo, "_draw_all", other)
    assert demo.demo_folder() == folder
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_folder_that_has_its_name_is_on_the_disk_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(demo, "EACH", 2)
    fsync, rename = os.fsync, Path.rename
    synced: set[int] = set()
    missing: list[str] = []

    def noted(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def named(path: Path, target: Path) -> Path:
        everything = [path, *path.rglob("*")]
        missing.extend(one.name for one in everything if one.stat().st_ino not in synced)
        return rename(path, target)

    monkeypatch.setattr("os.fsync", noted)
    monkeypatch.setattr(Path, "rename", named)
    assert len([*demo.demo_folder().glob("*/*.jpg")]) == 10
    assert missing == []


def test_what_a_killed_process_left_half_drawn_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    left: list[Path] = []

    def killed(drafts: Path) -> None:
        left.append(drafts.with_name(f"{drafts.name}0"))
        left[0].mkdir()  # as if nobody had cleaned up behind it
        (left[0] / "fish").mkdir()

    monkeypatch.setattr(demo, "_draw_all", killed)
    demo.demo_folder()
    os.utime(left[0], (0, 0))
    caches.prune()
    assert [path.name for path in tmp_path.iterdir()] == [f"demo-v{demo.VERSION}"]
