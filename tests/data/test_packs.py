from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from zoo import caches
from zoo.data.packs import Kept, Made, Pack
from zoo.data.scratch import Scratch, put
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
    with shelf.in_use():
        made = [
            Made(
                name,
                row,
                (len(name), 7),
                put(shelf.file, row * shelf.row_bytes, array(ord(name[0]))),
            )
            for name, row in zip(names, shelf.reserve(len(names)), strict=True)
        ]
        shelf.keep(made)
    return {one.digest: Kept(one.row, one.size) for one in made}


def killed(count: int) -> Sequence[int]:
    """The rows that a run gets, which then keeps none of them."""
    shelf = pack()
    with shelf.in_use():
        return shelf.reserve(count)


def line(said: str) -> bytes:
    """A line of an index, whole."""
    return f"{hashlib.sha256(said.encode()).hexdigest()[:16]} {said}".encode()


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
    with shelf.in_use():
        (row,) = shelf.reserve(1)
        put(shelf.file, row * shelf.row_bytes, array(1))
        assert pack().find(["a"]) == {}
        assert killed(1) == [row + 1]  # it stays whose it was


def test_what_killed_runs_had_reserved_is_given_out_again() -> None:
    fill(pack(), "a")
    for _ in range(4):
        assert killed(10) == [*range(1, 11)]
    assert pack().file.stat().st_size == 11 * ROW_BYTES
    made = fill(pack(), "b")
    assert killed(10) == [*range(2, 12)]
    assert pack().find("ab") == {"a": Kept(0, (1, 7))} | made


def test_rows_of_a_run_at_work_are_not_given_out_again() -> None:
    killed(2)
    shelf = pack()
    with shelf.in_use():
        mine = shelf.reserve(3)
        assert mine == [0, 1, 2]
        assert killed(2) == [3, 4]
        assert killed(2) == [5, 6]  # nobody can tell that those before are free
    assert killed(2) == [0, 1]


def test_rows_that_a_later_line_replaced_may_be_mapped_and_stay() -> None:
    one = fill(pack(), "a")
    two = fill(pack(), "a")
    assert [kept.row for kept in (one | {"b": two["a"]}).values()] == [0, 1]
    assert pack().find("a") == two
    assert killed(1) == [2]


def test_whoever_comes_while_one_looks_for_rows_waits_for_nobody_and_gets_others() -> None:
    killed(2)
    first, second = pack(), pack()
    got: list[Sequence[int]] = []

    def later() -> None:
        with second.in_use():
            got.append(second.reserve(2))

    thread = threading.Thread(target=later, daemon=True)
    with first.in_use():  # where a stopped process may stay for as long as it likes
        thread.start()
        thread.join(10)
        assert got == [[2, 3]]
        assert first.reserve(3) == [0, 1, 4]
        assert first.reserve(1) == [5]


def test_a_row_that_is_not_what_was_put_into_it_never_counts() -> None:
    shelf = pack()
    with shelf.in_use():
        (row,) = shelf.reserve(1)
        crc = put(shelf.file, row * shelf.row_bytes, array(1))
        assert crc == zlib.crc32(array(1).tobytes())
        put(shelf.file, row * shelf.row_bytes, array(2))
        shelf.keep([Made("a", row, (1, 1), crc)])
    assert pack().find("a") == {}


def test_a_pack_in_use_is_neither_pruned_nor_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "0")
    fill(pack(), "a")
    shelf = pack()
    with shelf.in_use():
        shelf.reserve(1)
        assert caches.prune() == 0
        assert caches.clear(["pictures"]).in_use == (f"pictures/{shelf.folder.name}",)
        assert pack().find("a")
    assert caches.prune() >= 2 * ROW_BYTES
    assert not shelf.folder.exists()


def test_a_pack_that_is_removed_all_the_same_is_an_error() -> None:
    shelf = pack()

    def use() -> None:
        with shelf.in_use():
            shelf.reserve(1)
            shelf.folder.rename(shelf.folder.with_name("gone"))
            fill(pack(), "b")  # somebody made it anew

    with pytest.raises(StorageFault, match="removed while"):
        use()


def test_where_nothing_can_be_locked_what_is_kept_is_found_and_no_rows_are_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = fill(pack(), "a")

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    shelf = pack()
    with shelf.in_use():
        assert shelf.find("a") == made
        assert not shelf.reserve(0)
        with pytest.raises(StorageFault, match=r"Cannot lock .*: Operation not supported"):
            shelf.reserve(1)


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
        b'[["a", 0, 1, 7, 0]]\n',
        b'0123456789abcdef [["a", 0, 1, 7, 0]]\n',
        line('[["a", 10, 1, 1, 0]]'),
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


def test_a_size_that_was_damaged_in_the_index_is_passed_over() -> None:
    fill(pack(), "a")
    fill(pack(), "b")
    index = pack().file.with_name("index.jsonl")
    first, second = index.read_text().splitlines()
    assert json.loads(first.partition(" ")[2])[0][:4] == ["a", 0, 1, 7]
    index.write_text(f"{first.replace('1, 7', '1, 9')}\n{second}\n")
    assert pack().find("ab").keys() == {"b"}


def test_writing_to_the_rows_does_not_reach_the_file() -> None:
    fill(pack(), "a")
    pack().rows()[0] = 0
    assert (pack().rows()[0] == array(ord("a"))).all()


def test_a_full_disk_shows_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    shelf = pack()
    with (
        shelf.in_use(),
        pytest.raises(StorageFault, match=r"has no room for 0\.0 GB: No space left") as caught,
    ):
        shelf.reserve(2)
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
    assert shelf.reserve(3) == range(3)
    for row in (2, 0):
        put(shelf.file, row * shelf.row_bytes, array(row))
    shelf.keep([Made("a", 0, (1, 1), 0)])
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
