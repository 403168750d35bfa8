from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CrewOfNone
from zoo import caches, folders
from zoo.components import Preprocess
from zoo.data import stream as module
from zoo.data.canvas import filled, row_bytes
from zoo.data.ingest import Images, ingest
from zoo.data.stream import Stream
from zoo.errors import BadData, StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable

RECIPE = Preprocess(size=(16, 24), resize=(20, 30))
PIXELS, CANVAS = 16 * 24 * 3, row_bytes(8)
COUNT = 20


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty small pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(COUNT):
        values = random.integers(0, 256, (20 + number, 30, 3), np.uint8)
        Image.fromarray(values).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


@pytest.fixture(autouse=True)
def crew(monkeypatch: pytest.MonkeyPatch, cold: Callable[[], None]) -> list[str]:
    """Names of the files that were decoded for a stream; the cache is empty."""
    cold()
    monkeypatch.setattr(module, "Crew", CrewOfNone)
    monkeypatch.setattr(CrewOfNone, "decoded", [])
    return CrewOfNone.decoded


def room_for(monkeypatch: pytest.MonkeyPatch, bytes_: float) -> None:
    monkeypatch.setenv("ZOO_CACHE_LIMIT", str((bytes_ + 0.5) / 1e9))


def take(paths: list[Path], tmp_path: Path) -> Images:
    return ingest(
        paths,
        preprocess=RECIPE,
        want_pixels=[True] * len(paths),
        want_canvas=[True] * len(paths),
        canvas_side=8,
        scratch=tmp_path / "scratch",
        digests=[hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
    )


def test_whatever_fits_the_rows_are_the_same(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cold: Callable[[], None]
) -> None:
    whole = take(files, tmp_path)
    assert whole.streamed == 0
    for bytes_ in (0, 7 * PIXELS, COUNT * PIXELS + 10 * CANVAS):
        cold()
        room_for(monkeypatch, bytes_)
        some = take(files, tmp_path)
        if bytes_ > COUNT * PIXELS:
            assert COUNT - 10 <= some.streamed < COUNT  # what says of the rows takes room, too
        else:
            assert some.streamed == COUNT
        assert some.problems == ()
        order = np.random.default_rng(1).permutation(COUNT)
        for name in ("pixels", "canvases"):
            row = "pixels_row" if name == "pixels" else "canvas_row"
            expected = getattr(whole, name)[getattr(whole, row)[order]]
            found = getattr(some, name)[getattr(some, row)[order]]
            again = np.empty_like(expected)
            getattr(some, name).take(getattr(some, row)[order], axis=0, out=again, mode="clip")
            if name == "canvases":  # what lies behind a canvas in its row is of no meaning
                takes = [filled((width, height), 8) for width, height in whole.sizes[order]]
                behind = np.arange(CANVAS) >= np.array(takes)[:, None]
                for rows in (expected, found, again):
                    rows[behind] = 0
            assert np.array_equal(found, expected)
            assert np.array_equal(again, expected)
        assert np.array_equal(some.sizes, whole.sizes)
        some.close()
        kept = sum(file.stat().st_size for file in folders.cache().glob("pictures/*/rows.u8"))
        assert kept <= bytes_


def stream(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """A stream of which five rows of pixels are kept, and all rows as they are."""
    whole = take(files, tmp_path)
    expected = whole.pixels[whole.pixels_row].copy()
    caches.clear()
    room_for(monkeypatch, 5 * PIXELS)
    some = take(files, tmp_path)
    assert isinstance(some.pixels, Stream)
    assert some.pixels_row.tolist() == list(range(COUNT))
    return some, expected


def test_what_is_expected_is_decoded_once_and_ahead_within_the_slots(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crew: list[str]
) -> None:
    monkeypatch.setattr(module, "RING", 6 * PIXELS)
    images, expected = stream(files, tmp_path, monkeypatch)
    order = np.random.default_rng(2).permutation(COUNT)
    ahead = [f"{row:02}.png" for row in order.tolist() if row >= 5]
    for _ in range(2):
        crew.clear()
        images.pixels.expect(order)
        assert crew == ahead[:6]
        for start in range(0, COUNT, 4):
            rows = order[start : start + 4]
            assert np.array_equal(images.pixels[rows], expected[rows])
        assert crew == ahead
    assert images.pixels.decoded == 2 * 15
    images.close()


def test_what_nobody_said_is_decoded_at_once(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crew: list[str]
) -> None:
    monkeypatch.setattr(module, "RING", 2 * PIXELS)
    images, expected = stream(files, tmp_path, monkeypatch)
    images.pixels.expect(np.array([5, 6, 7, 8]))
    rows = np.array([19, 3, 11, 12, 13, 11])
    assert np.array_equal(images.pixels[rows], expected[rows])
    assert crew[:6] == ["05.png", "06.png", "19.png", "11.png", "12.png", "13.png"]
    images.pixels.expect(np.array([9]))
    assert np.array_equal(images.pixels[np.array([9, 5])], expected[[9, 5]])
    images.close()


def test_many_may_read_at_the_same_time(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RING", 3 * PIXELS)
    images, expected = stream(files, tmp_path, monkeypatch)
    images.pixels.expect(np.arange(COUNT))
    wrong: list[int] = []

    def read(first: int) -> None:
        for row in [*range(first, COUNT, 2), 7, 8]:
            found = images.pixels[np.array([row])][0]
            wrong.extend([] if np.array_equal(found, expected[row]) else [row])

    threads = [threading.Thread(target=read, args=(first,)) for first in (0, 1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
    images.close()


def test_nothing_is_started_for_what_nobody_reads_and_nothing_is_left(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crew: list[str]
) -> None:
    images, expected = stream(files, tmp_path, monkeypatch)
    before = threading.active_count()
    assert np.array_equal(images.pixels[np.arange(5)], expected[:5])
    assert crew == []
    assert not (tmp_path / "scratch").exists()
    images.pixels.expect(np.arange(COUNT))
    assert threading.active_count() == before + 1
    images.close()
    images.close()
    assert threading.active_count() == before
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_file_that_changed_since_it_was_judged_is_no_other_picture(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = [Path(shutil.copy(path, tmp_path)) for path in files]
    images, expected = stream(copies, tmp_path, monkeypatch)
    shutil.copy(files[8], copies[9])
    images.pixels.expect(np.arange(COUNT))
    assert np.array_equal(images.pixels[np.arange(9)], expected[:9])
    with pytest.raises(BadData, match=r"09.png could be read before.*it changed") as caught:
        images.pixels[np.array([10, 9])]
    assert caught.value.exit_code == 65
    images.close()


def test_a_fault_of_the_disk_reaches_the_reader(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = stream(files, tmp_path, monkeypatch)

    def full(*_: object) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr("zoo.data.worker.put", full)
    with pytest.raises(StorageFault, match="full"):
        images.pixels[np.array([10])]
    images.close()


def test_real_children_decode_ahead_and_one_that_dies_is_told_of(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.data.pool import Crew

    monkeypatch.setattr(module, "Crew", Crew)
    copies = [Path(shutil.copy(path, tmp_path)) for path in files]
    images, expected = stream(copies, tmp_path, monkeypatch)
    copies[19].unlink()
    images.pixels.expect(np.arange(COUNT))
    assert np.array_equal(images.pixels[np.arange(19)], expected[:19])
    with pytest.raises(BadData, match="no such file"):
        images.pixels[np.array([19])]
    images.close()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_second_run_decodes_what_does_not_fit_and_judges_nothing_that_it_knows(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(monkeypatch, COUNT * PIXELS + 10 * CANVAS)
    first, again = take(files, tmp_path), take(files, tmp_path)
    assert (first.decoded, again.decoded) == (COUNT, 0)
    assert 0 < first.streamed == again.streamed < COUNT
    monkeypatch.delenv("ZOO_CACHE_LIMIT")
    assert (take(files, tmp_path).decoded, take(files, tmp_path).decoded) == (first.streamed, 0)


def test_pictures_leave_some_of_the_disk_free(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = caches.RESERVE + 4 * PIXELS + 1
    usage = shutil.disk_usage(tmp_path)._replace(free=free)  # type: ignore[attr-defined]

    def measured(_place: object) -> Any:  # noqa: ANN401 - a named tuple without a public name
        return usage

    monkeypatch.setattr(shutil, "disk_usage", measured)
    images = take(files, tmp_path)
    assert sum(file.stat().st_size for file in folders.cache().glob("pictures/*/rows.u8")) > 0
    assert images.pixels_row.max() == COUNT - 1
    assert len(images.pixels._kept) == 4  # type: ignore[attr-defined]  # noqa: SLF001 - what it is made of
    images.close()
