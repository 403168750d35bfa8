from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from zoo import folders
from zoo.data import demo
from zoo.data.decode import decode
from zoo.data.split import digests
from zoo.data.table import read_table
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from pathlib import Path


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
