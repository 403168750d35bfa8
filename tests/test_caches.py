from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from zoo import caches, locks
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Fill = Callable[..., Path]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fill:
    """Put files of so many bytes into an empty cache folder: `fill({"weights/a": 5})`."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))

    def put(files: dict[str, int], *, used: int = 0) -> Path:
        for name, size in files.items():
            path = tmp_path / "cache" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
            os.utime(path.parent, (used, used))
        return tmp_path / "cache"

    return put


def test_an_empty_cache_folder_holds_nothing(fill: Fill) -> None:
    assert caches.caches() == ()
    assert caches.clear() == caches.Cleared(0, ())
    assert caches.prune() == 0
    assert not fill({}).exists()


def test_caches_are_told_with_their_sizes(fill: Fill) -> None:
    fill({"weights/a": 5, "weights/deep/b": 2, "demo-v1/c": 1, "strange": 4})
    assert [(one.name, one.bytes, one.files) for one in caches.caches()] == [
        ("demo-v1", 1, 1),
        ("strange", 4, 1),
        ("weights", 7, 2),
    ]
    assert {one.name: one.about for one in caches.caches()}["weights"] == "downloaded weights"


def test_named_caches_go_and_the_others_stay(fill: Fill) -> None:
    place = fill({"weights/a": 5, "pictures/p/rows.u8": 3, "features/f/shard": 2})
    assert caches.clear(["pictures", "features", "hashes"]) == caches.Cleared(5, ())
    assert [path.name for path in place.iterdir()] == ["weights"]
    assert caches.clear() == caches.Cleared(5, ())
    assert list(place.iterdir()) == []


def test_what_is_behind_a_link_is_not_said_to_be_freed_unless_it_is(
    fill: Fill, tmp_path: Path
) -> None:
    place = fill({"pictures/p/rows.u8": 5, "weights/a": 7})
    for name in ("pictures", "weights"):
        (place / name).rename(tmp_path / name)
        (place / name).symlink_to(tmp_path / name)
    assert caches.clear() == caches.Cleared(5, ())
    assert [*(tmp_path / "pictures").iterdir()] == []
    assert (tmp_path / "weights/a").exists()
    assert [path.name for path in place.iterdir()] == ["pictures"]  # for the next pictures


def test_a_cache_that_is_not_there_is_refused_before_anything_goes(fill: Fill) -> None:
    place = fill({"weights/a": 5})
    with pytest.raises(UsageError, match="no cache called wights") as caught:
        caches.clear(["weights", "wights"])
    assert "weights" in caught.value.hint
    assert (place / "weights/a").exists()


def test_what_was_used_longest_ago_goes_first_and_only_what_grows(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fill({"pictures/old/rows.u8": 400, "weights/a": 900}, used=1)
    fill({"features/older/shard": 300}, used=2)
    fill({"pictures/new/rows.u8": 200}, used=3)
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "5.5e-7")  # GB
    assert caches.prune() == 400
    assert not (place / "pictures/old").exists()
    caches.used(place / "features/older")
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "3e-7")
    assert caches.prune() == 200
    assert (place / "features/older/shard").exists()
    assert (place / "weights/a").exists()
    assert caches.prune() == 0


def test_room_is_what_parts_leave_of_the_limit_and_of_the_disk(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fill({"pictures/a/rows.u8": 400, "pictures/b/rows.u8": 50, "features/c/shard": 7})
    assert caches.grown() == 457
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "1e-6")
    ours = [place / "pictures/a", place / "pictures/none"]
    assert caches.room(ours) == 600
    assert caches.room([*ours, place / "pictures/b"]) == 550
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "0")
    assert caches.room(ours) == 0
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "1e9")
    assert 0 <= caches.room(ours) < shutil.disk_usage(place).total
    monkeypatch.setattr(caches, "RESERVE", 1e18)
    assert caches.room(ours) == 0


@pytest.mark.parametrize("told", ["much", "nan", "-1"])
def test_a_limit_that_is_no_size_is_refused_and_nothing_removed(
    fill: Fill, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    fill({"features/x/shard": 1})
    before = caches.grown()
    monkeypatch.setenv("ZOO_CACHE_LIMIT", told)
    with pytest.raises(UsageError, match=f"ZOO_CACHE_LIMIT='{told}'"):
        caches.prune()
    assert caches.grown() == before > 0


def test_parts_in_use_stay_and_are_told_and_the_others_go(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fill({"pictures/p/rows.u8": 3, "pictures/q/rows.u8": 4, "scratch/ingest-1/x": 5})
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "0")
    parts = ("pictures/p", "scratch/ingest-1")
    with (
        locks.sharing(place / parts[0] / caches.IN_USE) as one,
        locks.sharing(place / parts[1] / caches.IN_USE),
    ):
        one.admit()  # shared is as good as held alone
        assert caches.prune() == 4
        assert caches.clear() == caches.Cleared(0, parts)
        assert (place / "pictures/p/rows.u8").exists()
    assert caches.clear() == caches.Cleared(8, ())
    assert list(place.iterdir()) == []


def test_scratch_files_of_dead_processes_go_at_once_and_those_of_living_ones_stay(
    fill: Fill,
) -> None:
    place = fill({"scratch/ingest-dead/ring.u8": 90, "scratch/ingest-alive/ring.u8": 10})
    (place / "scratch" / "ingest-dead" / caches.IN_USE).touch()
    with locks.sharing(place / "scratch" / "ingest-alive" / caches.IN_USE) as share:
        share.admit()
        caches.prune()
        assert [one.name for one in (place / "scratch").iterdir()] == ["ingest-alive"]
    caches.prune()
    assert not [*(place / "scratch").iterdir()]


def test_what_killed_processes_left_unfinished_goes_after_an_hour(fill: Fill) -> None:
    now = int(time.time())
    place = fill({"features/f/shard": 1, "weights/w": 1}, used=now)
    for name, age in {".tmp-old": 4000, ".tmp-new": 60}.items():
        fill({f"features/f/{name}": 9})
        os.utime(place / "features/f" / name, (now - age, now - age))
    fill({"pictures/.trash-old/rows.u8": 9, "weights/deep/.tmp-old/x": 9}, used=now - 4000)
    fill({"pictures/.trash-new/rows.u8": 9}, used=now)
    assert caches.prune() == 0
    left = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    assert left == {
        *("features/f/.tmp-new", "features/f/shard", "pictures/.trash-new/rows.u8", "weights/w")
    }


def test_a_part_that_goes_while_it_is_measured_is_nothing(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fill({"features/a/shard": 300})
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "0")
    scandir = os.scandir
    asked: list[object] = []

    def removing(path: Path | str) -> object:
        if os.fspath(path) == str(place / "features/a"):
            asked.append(path)
            if len(asked) == 2:  # the first looks for what is unfinished
                (place / "features/a").rename(place / "gone")
        return scandir(path)

    monkeypatch.setattr("os.scandir", removing)
    assert caches.prune() == 0
    assert (place / "gone/shard").exists()
