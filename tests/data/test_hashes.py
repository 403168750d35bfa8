from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from zoo.data import hashes as room
from zoo.data.hashes import Hashes, hashed
from zoo.data.rows import Row
from zoo.data.split import digests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("empty_cache", "settled")


@pytest.fixture
def empty_cache(cold: Callable[[], None]) -> None:
    cold()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of these tests are young, but nobody changes them in the moment of hashing."""
    monkeypatch.setattr(room, "UNSETTLED_NS", 0)
    monkeypatch.setattr("os.fsync", int)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/one").write_bytes(b"before")
    return tmp_path / "data/one"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def look(file: Path) -> tuple[str, int]:
    """A file's hash by what an earlier process left, and how many files were read for it."""
    hashes = Hashes(file.parent)
    found = hashes.digest(file)
    hashes.keep()
    return found, hashes.taken


def memory() -> Path:
    from zoo import folders

    (found,) = (folders.cache() / "hashes").glob("*.jsonl")
    return found


def test_a_file_is_read_once_for_as_long_as_it_is_unchanged(file: Path) -> None:
    assert look(file) == (sha(b"before"), 1)
    assert look(file) == (sha(b"before"), 0)
    assert look(file) == (sha(b"before"), 0)
    assert len(memory().read_text().splitlines()) == 1


def replaced(file: Path) -> None:
    """By a file of the same size and time: what copying with `cp -p` or a sync tool may do."""
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"AFTER!")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


def rewritten(file: Path) -> None:
    """In place, with its old time put back: only the time of its status change tells."""
    status = file.stat()
    with file.open("r+b") as stream:
        stream.write(b"AFTER!")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [replaced, rewritten])
def test_a_change_that_keeps_size_and_time_is_noticed(
    file: Path, change: Callable[[Path], None]
) -> None:
    look(file)
    before = file.stat()
    change(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert look(file) == (sha(b"AFTER!"), 1)
    assert look(file) == (sha(b"AFTER!"), 0)


def test_a_file_that_changed_a_moment_ago_is_not_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "UNSETTLED_NS", 2_000_000_000)
    assert look(file) == (sha(b"before"), 1)
    assert look(file) == (sha(b"before"), 1)
    later = file.stat().st_ctime_ns + 2_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: later)
    assert look(file) == (sha(b"before"), 1)
    assert look(file) == (sha(b"before"), 0)


def test_a_clock_that_was_set_back_makes_nothing_older(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: file.stat().st_ctime_ns - 86_400 * 10**9)
    look(file)
    assert look(file) == (sha(b"before"), 1)


def test_a_file_that_grows_while_it_is_read_is_not_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = hashlib.file_digest

    def growing(stream: object, name: str) -> object:
        found = read(stream, name)  # type: ignore[arg-type]
        with file.open("ab") as end:
            end.write(b"...")
        return found

    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", growing)
        assert hashed(file) == (sha(b"before"), None)
    assert look(file) == (sha(b"before..."), 1)


def test_what_is_no_file_has_no_hash_and_is_asked_again(file: Path) -> None:
    missing = file.with_name("missing")
    assert look(missing)[0] == ""
    os.mkfifo(missing)
    assert look(missing)[0] == ""
    missing.unlink()
    missing.write_bytes(b"here")
    assert look(missing) == (sha(b"here"), 1)


@pytest.mark.parametrize("place", range(0, 200, 13))
def test_a_damaged_memory_never_gives_a_wrong_hash(file: Path, place: int) -> None:
    look(file)
    data = bytearray(memory().read_bytes())
    data[place % len(data)] ^= 0x01
    memory().write_bytes(data)
    assert look(file)[0] == sha(b"before")
    assert look(file) == (sha(b"before"), 0)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_memory_cut_short_keeps_its_whole_lines(file: Path, kept: float) -> None:
    look(file)
    first = memory().read_bytes()
    other = file.with_name("two")
    other.write_bytes(b"two")
    look(other)
    second = memory().read_bytes()[len(first) :]
    memory().write_bytes(first + second[: int(kept * len(second))])
    assert look(file) == (sha(b"before"), 0)
    assert look(other) == (sha(b"two"), 1)
    assert look(other) == (sha(b"two"), 0)


def test_a_cache_that_cannot_be_written_costs_time_alone(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "no folder"))
    assert look(file) == (sha(b"before"), 1)
    assert look(file) == (sha(b"before"), 1)


def test_a_memory_of_files_that_keep_changing_does_not_grow_for_ever(file: Path) -> None:
    for number in range(40):
        file.write_bytes(str(number).encode())
        assert look(file) == (sha(str(number).encode()), 1)
    entry = 200  # bytes, roughly
    assert memory().stat().st_size < 4 * (entry + len(str(file)))
    assert look(file) == (sha(b"39"), 0)


def test_two_data_folders_and_names_that_are_no_text_do_not_meet(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        name = os.fsdecode(f"{tmp_path}/{folder}/".encode() + b"\xff\n.png")
        with open(name, "wb") as stream:  # noqa: PTH123 - a name that is no text
            stream.write(folder.encode())
    for _ in range(2):
        for folder in ("a", "b"):
            (found,) = (tmp_path / folder).iterdir()
            assert look(found)[0] == sha(folder.encode())
    assert look(found)[1] == 0


def test_processes_that_write_at_once_lose_nothing_of_each_other(file: Path) -> None:
    names = [file.with_name(str(number)) for number in range(40)]
    for name in names:
        name.write_bytes(name.name.encode())
    both = [Hashes(file.parent), Hashes(file.parent)]

    def work(hashes: Hashes, files: list[Path]) -> None:
        for one in files:
            hashes.digest(one)
            hashes.keep()

    threads = [
        threading.Thread(target=work, args=(hashes, names[place::2]))
        for place, hashes in enumerate(both)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    later = Hashes(file.parent)
    assert [later.digest(name) for name in names] == [sha(name.name.encode()) for name in names]
    assert later.taken == 0


def test_what_was_hashed_before_a_stop_is_remembered(file: Path) -> None:
    rows = [Row(file.with_name(str(number)), str(number), "a") for number in range(30)]
    for row in rows:
        row.path.write_bytes(row.name.encode())

    def stop(done: int, total: int) -> None:
        assert total == 30
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digests(rows, progress=stop, hashes=Hashes(file.parent))
    later = Hashes(file.parent)
    assert digests(rows, hashes=later) == [sha(row.name.encode()) for row in rows]
    assert later.taken <= 18
