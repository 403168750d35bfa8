from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from zoo.data.packs import Kept, Pack
from zoo.data.scratch import Scratch, put
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (4, 6, 3)
ROW_BYTES = 4 * 6 * 3


@pytest.fixture(autouse=True)
def _nowhere(cold: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    cold()
    monkeypatch.setattr("os.fsync", int)


def pack(**recipe: object) -> Pack:
    return Pack({"kind": "pixels", **recipe}, SHAPE)


def array(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)


def fill(shelf: Pack, *names: str) -> dict[str, Kept]:
    """Put a picture in for each name, and keep them."""
    first = shelf.reserve(len(names))
    made = {name: Kept(first + place, (len(name), 7)) for place, name in enumerate(names)}
    for name, kept in made.items():
        put(shelf.file, kept.row, array(ord(name[0])))
    shelf.keep(made)
    return made


def test_what_is_kept_is_found_by_a_later_process_bit_for_bit() -> None:
    made = fill(pack(), "a", "b")
    later = pack()
    assert later.find(["a", "b", "c"]) == made
    for name, kept in made.items():
        assert (later.rows()[kept.row] == array(ord(name))).all()


def test_another_recipe_or_shape_knows_nothing_of_it() -> None:
    fill(pack(), "a")
    assert pack(resize=40).find(["a"]) == {}
    assert Pack({"kind": "pixels"}, (4, 7, 3)).find(["a"]) == {}
    assert pack().find(["a"])


def test_a_row_that_was_filled_and_not_kept_does_not_count() -> None:
    shelf = pack()
    row = shelf.reserve(1)
    put(shelf.file, row, array(1))
    assert pack().find(["a"]) == {}
    assert pack().reserve(1) == row + 1  # it stays whose it was


def test_rows_are_added_to_and_none_is_written_over() -> None:
    one = fill(pack(), "a", "b")
    two = fill(pack(), "c")
    assert [kept.row for kept in (*one.values(), *two.values())] == [0, 1, 2]
    assert pack().find("abc") == one | two


@pytest.mark.parametrize("place", [0, 31, 71])
def test_a_damaged_row_is_not_found_and_the_others_are(place: int) -> None:
    made = fill(pack(), "a", "b", "c")
    with pack().file.open("r+b") as stream:
        stream.seek(made["b"].row * ROW_BYTES + place)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 0x10]))
    assert pack().find("abc").keys() == {"a", "c"}
    fill(pack(), "b")
    assert pack().find("abc").keys() == {"a", "b", "c"}


def test_a_file_cut_short_keeps_its_whole_rows_and_can_be_added_to() -> None:
    fill(pack(), "a", "b")
    os.truncate(pack().file, int(1.5 * ROW_BYTES))
    assert pack().find("ab").keys() == {"a"}
    made = fill(pack(), "b")
    assert made["b"].row == 2
    found = pack().find("ab")
    assert found.keys() == {"a", "b"}
    assert (pack().rows()[found["b"].row] == array(ord("b"))).all()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[1, 2]\n",
        b'[["a", "0", 1, 1, 1]]\n',
        b'[["a", -1, 1, 1, 0]]\n',
        b'[["a", 10, 1, 1, 0]]\n',
        b'[["a", 0, 1, 1]]\n',
        b"\xff\x00[]\n",
        b"[" * 5000,
    ],
)
def test_an_index_that_says_nonsense_is_passed_over(said: bytes) -> None:
    fill(pack(), "a", "b")
    index = pack().file.with_name("index.jsonl")
    index.write_bytes(said + b"\n")
    assert pack().find(["a"]) == {}
    fill(pack(), "c")
    assert pack().find("abc").keys() == {"c"}


def test_writing_to_the_rows_does_not_reach_the_file() -> None:
    fill(pack(), "a")
    pack().rows()[0] = 0
    assert (pack().rows()[0] == array(ord("a"))).all()


def test_a_full_disk_shows_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageFault, match=r"has no room for 0\.0 GB: No space left") as caught:
        pack().reserve(2)
    assert "ZOO_CACHE" in caught.value.hint


def test_runs_that_fill_one_pack_at_once_get_rows_of_their_own() -> None:
    names = [chr(number) for number in range(48, 112)]

    def work(mine: list[str]) -> None:
        for name in mine:
            fill(pack(), name)

    threads = [threading.Thread(target=work, args=(names[place::4],)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = pack().find(names)
    assert sorted(kept.row for kept in found.values()) == [*range(64)]
    rows = pack().rows()
    assert all((rows[kept.row] == array(ord(name))).all() for name, kept in found.items())


# scratch files: the same without memory


def test_a_scratch_file_gives_back_what_was_put_and_keeps_nothing(tmp_path: Path) -> None:
    shelf = Scratch(tmp_path, "pixels", SHAPE)
    assert shelf.reserve(3) == 0
    for row in (2, 0):
        put(shelf.file, row, array(row))
    shelf.keep({"a": Kept(0, (1, 1))})
    assert shelf.find(["a"]) == {}
    rows = shelf.rows()
    assert rows.shape == (3, *SHAPE)
    assert (rows[0] == array(0)).all()
    assert not rows[1].any()
    assert (rows[2] == array(2)).all()
    rows[0] = 9
    assert (shelf.rows()[0] == array(0)).all()


def test_no_rows_make_an_empty_array(tmp_path: Path) -> None:
    shelf = Scratch(tmp_path, "pixels", SHAPE)
    shelf.reserve(0)
    assert shelf.rows().shape == (0, *SHAPE)


def test_scratch_that_has_no_room_says_where(tmp_path: Path) -> None:
    shelf = Scratch(tmp_path / "gone", "pixels", SHAPE)
    with pytest.raises(StorageFault, match=r"gone has no room for .*No such file"):
        shelf.reserve(1)
