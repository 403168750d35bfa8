from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.data.pictures import RECIPE, same, take
from zoo.data import ingest as module
from zoo.data.canvas import row_bytes
from zoo.data.ingest import unreadable
from zoo.data.preprocess import file_pixels
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from pathlib import Path


def test_any_number_of_children_gives_the_same(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    one = take(files, tmp_path, jobs=1, progress=note)
    assert seen == [(done, 20) for done in range(1, 21)]
    monkeypatch.setattr(module, "FEW", 1)
    two = take(files, tmp_path, jobs=3)
    assert same(one, two)
    assert one.problems == two.problems
    assert one.pixels.shape == (10, 16, 24, 3)
    assert one.canvases.shape == (13, row_bytes(8))
    assert one.sizes[7].tolist() == [30, 27]
    assert one.aspects[7] == 30 / 27


def test_bad_files_are_problems_in_order_and_have_no_rows(
    files: list[Path], tmp_path: Path
) -> None:
    images = take(files, tmp_path)
    assert [(problem.index, problem.path) for problem in images.problems] == [
        (4, files[4]),
        (11, files[11]),
    ]
    assert images.problems[0].reason == "an empty file"
    assert images.pixels_row[4] == images.canvas_row[11] == -1
    wanted = [place for place in range(0, 20, 2) if place != 4]
    rows = images.pixels_row[wanted]
    assert len(set(rows.tolist())) == len(wanted)
    assert all(images.pixels[row].std() > 20 for row in rows)
    error = unreadable(images.problems)
    assert error.exit_code == 65
    assert str(files[4]) in error.message
    assert str(files[11]) in error.message


def test_nothing_is_left_in_the_scratch_folder(files: list[Path], tmp_path: Path) -> None:
    images = take(files, tmp_path / "new" / "scratch")
    if os.name == "posix":
        assert list((tmp_path / "new/scratch").iterdir()) == []  # even while it is in use
    assert images.pixels.any()
    images.close()
    assert images.pixels.size == 0
    assert list((tmp_path / "new/scratch").iterdir()) == []


def test_arrays_can_be_written_without_reaching_a_file(files: list[Path], tmp_path: Path) -> None:
    images = take(files, tmp_path)
    images.pixels[0] = 7
    assert (images.pixels[0] == 7).all()


def test_an_image_of_which_nothing_is_wanted_is_judged_all_the_same(
    files: list[Path], tmp_path: Path
) -> None:
    nothing = [False] * 20
    images = take(files, tmp_path, want_pixels=nothing, want_canvas=nothing)
    assert len(images.problems) == 2
    assert images.pixels.shape == (0, 16, 24, 3)
    assert (images.sizes[:4] > 0).all()


def test_no_files_make_empty_arrays(tmp_path: Path) -> None:
    images = take([], tmp_path)
    assert images.pixels.shape == (0, 16, 24, 3)
    assert images.sizes.shape == (0, 2)
    assert images.pixels_row.dtype == images.canvas_row.dtype == np.int64


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_a_full_disk_shows_before_anything_is_decoded(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageFault, match="No space left"):
        take(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_animations_are_counted(files: list[Path], tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    paths = [*files[:3], tmp_path / "x.gif"]
    assert take(paths, tmp_path / "scratch").animated == 1


def test_pictures_among_more_paths_keep_their_rows_sizes_and_problems(
    files: list[Path], tmp_path: Path
) -> None:
    images = take(files, tmp_path)
    places = np.arange(20) * 2 + 1
    spread = images.spread(places, 41)
    for name in ("pixels_row", "canvas_row", "sizes"):
        assert np.array_equal(getattr(spread, name)[places], getattr(images, name))
    others = np.setdiff1d(np.arange(41), places)
    assert (spread.pixels_row[others] == -1).all()
    assert (spread.canvas_row[others] == -1).all()
    assert not spread.sizes[others].any()
    assert [one.index for one in spread.problems] == [2 * 4 + 1, 2 * 11 + 1]
    assert [one.path for one in spread.problems] == [one.path for one in images.problems]
    assert spread.pixels is images.pixels


def test_no_pictures_among_some_paths_are_nothing(tmp_path: Path) -> None:
    spread = take([], tmp_path).spread(np.zeros(0, np.int64), 3)
    assert (spread.pixels_row == -1).all()
    assert spread.aspects.tolist() == [1, 1, 1]


def test_a_large_jpeg_is_ingested_as_prediction_sees_it(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    large = Image.fromarray(values).resize((640, 480), Image.Resampling.BICUBIC)
    large.save(
        tmp_path / "x.jpg",
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    images = take([tmp_path / "x.jpg"], tmp_path / "scratch")
    assert images.sizes.tolist() == [[480, 640]]
    assert np.array_equal(images.pixels[0], file_pixels(tmp_path / "x.jpg", RECIPE))
