"""What is kept of pictures while others fill, clear and overwrite the same cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.data.pictures import hashes, same, take
from zoo import caches, folders
from zoo.data import packs
from zoo.data.crc import crc32

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.data.ingest import Images


def test_a_file_that_was_replaced_is_not_taken_for_the_one_that_was_hashed(
    files: list[Path], tmp_path: Path, cold: Callable[[], None]
) -> None:
    cold()
    digests = hashes(files)
    good = take(files, tmp_path, digests=digests)
    assert [problem.index for problem in good.problems] == [4, 11]
    digests[7] = "0" * 64
    digests[9] = ""  # it could not be read when the hashes were taken
    images = take(files, tmp_path, digests=digests)
    assert [problem.index for problem in images.problems] == [4, 7, 9, 11]
    assert "changed" in images.problems[1].reason


def test_what_is_being_filled_is_left_alone_by_others_who_clear_the_cache(
    files: list[Path], tmp_path: Path, cold: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cold()
    left: list[int] = []

    def clear(_done: int, _total: int) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("ZOO_CACHE_LIMIT", "0")
            caches.prune()
        left.append(len(caches.clear().in_use))

    images = take(files, tmp_path, digests=hashes(files), progress=clear)
    assert left == [2] * 20
    again = take(files, tmp_path, digests=hashes(files))
    assert same(images, again)
    assert again.decoded == 2 + 3  # the bad ones, and those of which nothing is wanted
    assert same(images, take(files, tmp_path))
    assert caches.clear().in_use == ()


def test_a_row_that_somebody_else_overwrote_meanwhile_is_decoded_again(
    files: list[Path], tmp_path: Path, cold: Callable[[], None]
) -> None:
    cold()

    def overwrite(done: int, _total: int) -> None:
        if done == 20:
            for file in folders.cache().glob("pictures/*/rows.u8"):
                file.write_bytes(bytes(file.stat().st_size))

    take(files, tmp_path, digests=hashes(files), progress=overwrite)
    again = take(files, tmp_path, digests=hashes(files))
    assert again.decoded == 20
    assert same(again, take(files, tmp_path, digests=hashes(files)))
    assert again.pixels[again.pixels_row[0]].any()


def test_both_rows_of_two_files_alike_stay_what_they_were(
    files: list[Path], tmp_path: Path, cold: Callable[[], None]
) -> None:
    """The first of them is mapped by this run, though later ones find the second."""
    cold()
    wants = {"want_pixels": [True] * 2, "want_canvas": [False] * 2}
    images = take([files[0]] * 2, tmp_path, digests=hashes([files[0]] * 2), **wants)
    before = images.pixels[images.pixels_row].copy()
    take(files[1:3], tmp_path, digests=hashes(files[1:3]), **wants)
    assert (images.pixels[images.pixels_row] == before).all()


def test_scratch_that_a_killed_process_left_is_removed_and_that_of_others_is_not(
    files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "ingest-killed").mkdir()
    (tmp_path / "ingest-killed" / "pixels.u8").write_bytes(bytes(100))
    inner: list[Images] = []

    def meanwhile(done: int, _total: int) -> None:
        if done == 5:
            inner.append(take(files, tmp_path))
            assert len(list(tmp_path.iterdir())) == 1  # the outer one's

    images = take(files, tmp_path, progress=meanwhile)
    assert same(images, inner[0])
    assert list(tmp_path.iterdir()) == []


def test_a_stop_is_heeded_while_what_is_kept_is_compared(
    files: list[Path], tmp_path: Path, cold: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cold()
    take(files, tmp_path, digests=hashes(files))
    compared: list[int] = []
    looks = 0

    def noted(data: bytes) -> int:
        compared.append(len(data))
        return crc32(data)

    def stop(_done: int, _total: int) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(packs, "AT_ONCE", 2)
    monkeypatch.setattr(packs, "crc32", noted)
    with pytest.raises(KeyboardInterrupt):
        take(files, tmp_path, digests=hashes(files), progress=stop)
    assert len(compared) == 4


def test_a_pack_of_which_nothing_is_wanted_is_not_made(
    files: list[Path], tmp_path: Path, cold: Callable[[], None]
) -> None:
    cold()
    take(files, tmp_path, digests=hashes(files), want_canvas=[False] * len(files))
    assert len([*(folders.cache() / "pictures").iterdir()]) == 1
