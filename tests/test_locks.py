from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from zoo import locks
from zoo.errors import CannotCreate

if TYPE_CHECKING:
    from pathlib import Path

ME = f"process {os.getpid()} on {socket.gethostname()}"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_PATIENCE", 0.0)


def test_a_held_folder_names_its_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    assert locks.holder(tmp_path) == ""
    with locks.held(tmp_path):
        assert locks.holder(tmp_path) == ME
        with (
            pytest.raises(CannotCreate, match=f"belongs to {ME}, which is at work in it") as caught,
            locks.held(tmp_path),
        ):
            pass
        assert "another --out" in caught.value.hint
        assert locks.holder(tmp_path) == ME
    assert locks.holder(tmp_path) == ""
    assert [*tmp_path.iterdir()] == []


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locks.held(tmp_path):
        raise ZeroDivisionError
    with locks.held(tmp_path):
        pass


def test_what_a_dead_process_left_locks_nothing(tmp_path: Path) -> None:
    (tmp_path / locks.LOCK).write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    assert locks.holder(tmp_path) == ""
    with locks.held(tmp_path):
        assert locks.holder(tmp_path) == ME


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"pid": "x", "host": 1}', b"\xff", b"7"])
def test_a_lock_that_says_nonsense_still_locks(tmp_path: Path, said: bytes) -> None:
    file = tmp_path / locks.LOCK
    file.write_bytes(said)
    with file.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert locks.holder(tmp_path) == "another process"
        with pytest.raises(CannotCreate, match="belongs to another process"), locks.held(tmp_path):
            pass


def test_somebody_who_only_looks_refuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE", 5.0)
    file = tmp_path / locks.LOCK
    file.touch()
    looking = os.open(file, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    timer = threading.Timer(0.1, os.close, (looking,))
    timer.start()
    with locks.held(tmp_path):
        assert locks.holder(tmp_path) == ME
    timer.join()


def test_a_file_that_was_removed_meanwhile_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who took the lock of a name one after the other must not both hold it."""
    lock = fcntl.flock
    removed: list[Path] = []

    def flock(descriptor: int, how: int) -> None:
        lock(descriptor, how)
        if not removed:
            removed.append(tmp_path / locks.LOCK)
            removed[0].unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with locks.held(tmp_path):
        assert locks.holder(tmp_path) == ME
    assert removed


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / locks.LOCK).symlink_to(target)
    with pytest.raises(CannotCreate, match="cannot be opened"), locks.held(tmp_path / "run"):
        pass
    assert locks.holder(tmp_path / "run") == ""
    assert target.read_text() == "mine"


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with (
        pytest.raises(CannotCreate, match="knows no locks: Operation not supported"),
        locks.held(tmp_path),
    ):
        pass


def test_waiting_lets_one_in_after_the_other(tmp_path: Path) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with locks.waiting(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with locks.waiting(tmp_path / "lock"):
        inside.set()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert (tmp_path / "lock").exists()


def test_a_file_that_others_share_is_had_alone_by_nobody(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "in-use"
    with locks.sharing(file) as one:
        assert one.alone
        one.admit()
        with locks.sharing(file) as two:
            assert not two.alone
            with locks.alone(file) as free:
                assert not free
        assert one.lasts()
    with locks.alone(file) as free:
        assert free


def test_a_folder_that_is_renamed_before_its_file_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes a folder may come between our opening the file and our locking it."""
    lock = fcntl.flock
    place = tmp_path / "part"

    def flock(descriptor: int, how: int) -> None:
        if not (tmp_path / "trash").exists():
            place.rename(tmp_path / "trash")
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locks.sharing(place / "in-use") as share:
        assert share.lasts()
        assert (place / "in-use").exists()
        place.rename(tmp_path / "again")
        assert not share.lasts()


def test_a_folder_that_cannot_be_kept_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> bool:
        return False

    monkeypatch.setattr(locks, "_is_still", never)
    with pytest.raises(OSError, match="again and again"), locks.sharing(tmp_path / "in-use"):
        pass


def test_where_there_are_no_locks_nothing_is_had_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    with locks.alone(tmp_path / "gone" / "in-use") as free:
        assert not free
    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locks.alone(tmp_path / "in-use") as free:
        assert not free
