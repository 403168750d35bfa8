"""The file in which a listing is kept: what else it looks at, and what becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli import shelves
from tests.cli.shelves import ENTRIES, LOSS, Shelf, add_nets
from zoo import folders
from zoo.cli import listing
from zoo.plugins import basis

if TYPE_CHECKING:
    from collections.abc import Callable

shelf = pytest.fixture(shelves.shelf)

OWN = 'schema = 1\n[entries.mine]\nspec = "resnet18+linear+ce"\nlr = 0.1\n'

pytestmark = pytest.mark.usefixtures("no_strangers_finders")


def test_registry_files_of_the_users_own_are_read_each_time(shelf: Shelf) -> None:
    shelf.alone()
    add_nets(shelf)
    shelf.keep()
    shelf.keep("--json")
    here, there = Path("registry.toml"), folders.config() / "registry.toml"
    for file in (here, there):
        file.write_text(OWN)
        assert "entry  mine" in " ".join(shelf.kept("--kind entry")[1].split(" "))
        assert shelf.kept("--kind entry --json") == shelf.made("--kind entry --json")
        file.write_text("schema = 2\n")
        assert shelf.kept("--kind entry") == shelf.made("--kind entry")
        assert shelf.kept("--kind entry")[0] == 2
        file.unlink()
    extra = shelf.folder / "extra.toml"
    extra.write_text(OWN)
    assert "mine" in shelf.kept(f"--registry {extra} --kind entry")[1]
    assert "mine" not in shelf.kept("--kind entry")[1]


@pytest.mark.parametrize("text", [ENTRIES.replace("one", "two"), "schema = 2\n", None])
def test_a_registry_file_that_a_plugin_ships_is_looked_at(shelf: Shelf, text: str | None) -> None:
    shelf.alone()
    file = add_nets(shelf) / "acme.toml"
    before = shelf.keep("--kind entry")
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    after = shelf.list("--kind entry")
    assert after != before
    assert after == shelf.made("--kind entry")
    assert shelf.kept("--kind entry") == after


def summed(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big") + data


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: data[:0],
    "half": lambda data: data[: len(data) // 2],
    "a bit": lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
    "cut before it was summed": lambda data: summed(data[4 : len(data) // 2]),
    "None": lambda data: summed(data[:0] + b"N"),
    "a list": lambda data: summed(data[:0] + b"[\x00\x00\x00\x00"),
    "a dict": lambda data: summed(data[:0] + b"{0"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_listing_is_made_anew(shelf: Shelf, damage: Callable[[bytes], bytes]) -> None:
    shelf.alone()
    before = shelf.keep()
    file = Path(listing.kept_file("rows"))
    file.write_bytes(damage(file.read_bytes()))
    assert not shelf.is_kept()
    assert shelf.list() == before
    assert shelf.kept() == before


def test_a_listing_of_other_code_or_another_path_does_not_count(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.alone()
    shelf.keep()
    file = listing.kept_file("rows")
    with monkeypatch.context() as patch:
        patch.setattr(basis, "CODE", (0,))
        assert listing.kept_file("rows") != file
        patch.setattr(listing, "kept_file", {"rows": file}.get)
        assert not shelf.is_kept()
    with monkeypatch.context() as patch:
        patch.setattr(listing, "kept_file", {"rows": file}.get)
        patch.syspath_prepend(shelf.folder.with_name("empty"))
        assert not shelf.is_kept()
    assert shelf.is_kept()


def test_distributions_that_come_from_elsewhere_leave_nothing_kept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.alone()

    class Finder:
        @staticmethod
        def find_spec(*_: object) -> None:
            """Nothing."""

        @staticmethod
        def find_distributions(*_: object) -> list[object]:
            return []

    shelf.keep()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert not shelf.is_kept()
    Path(listing.kept_file("rows")).unlink()
    shelf.list()
    assert not Path(listing.kept_file("rows")).exists()


def test_where_it_cannot_be_kept_it_is_made_anew_each_time(shelf: Shelf) -> None:
    shelf.alone()

    before = shelf.keep()
    Path(listing.kept_file("rows")).unlink()
    Path(listing.kept_file("rows")).mkdir()  # can be neither read nor written, by root either
    assert shelf.list() == before
    assert not shelf.is_kept()


def test_no_more_listings_are_kept_than_some_environments_need(shelf: Shelf) -> None:
    shelf.alone()
    for number in range(40):
        old = folders.cache() / "catalog" / f"list-rows-{number:08x}.bin"
        old.parent.mkdir(exist_ok=True, parents=True)
        old.write_bytes(b"")
        os.utime(old, (number, number))
    before = shelf.keep()
    assert len([*(folders.cache() / "catalog").glob("list-*.bin")]) == listing.KEPT
    assert shelf.kept() == before


def test_what_changed_a_moment_ago_is_not_relied_on(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may change twice within the steps in which its file system counts."""
    shelf.alone()
    info = shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="one")})
    shelf.keep()
    Path(listing.kept_file("rows")).unlink()
    monkeypatch.setattr(basis, "_YOUNG", 10**9)
    now = time.time()
    monkeypatch.setattr(time, "time_ns", lambda: int((now + 3600) * 10**9))
    os.utime(info / "RECORD", (now + 3599.5, now + 3599.5))
    shelf.list()
    assert not shelf.is_kept()
    os.utime(info / "RECORD", (now, now))
    shelf.list()
    assert shelf.is_kept()


def test_processes_that_list_at_once_agree(shelf: Shelf) -> None:
    shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="one")})
    expected = shelf.made()[1]
    env = {**os.environ, "PYTHONPATH": str(shelf.folder)}

    def one(_: int) -> str:
        command = [sys.executable, "-m", "zoo", "list"]
        return subprocess.check_output(command, text=True, env=env)

    with ThreadPoolExecutor(3) as pool:
        assert {*pool.map(one, range(6))} == {expected}
    assert "bolt/one" in expected
