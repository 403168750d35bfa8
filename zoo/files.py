"""The one way in which zoo writes what must not be lost or half there.

A file appears under its name whole or not at all; a folder appears by being renamed when all that
is in it is on the disk. Every step that a power cut could interrupt passes a `crash_point`, at
which a test may end the process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

#: set by tests: at which crash point, counted from 1, the process kills itself
CRASH_AT = "ZOO_CRASH_AT"
#: set by tests: a file to which each crash point adds its line
CRASH_LOG = "ZOO_CRASH_LOG"
#: names of what is not finished, or on its way out
UNFINISHED, TRASH = ".tmp-", ".trash-"
#: there is no room left
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_passed = 0


def crash_point(what: str) -> None:
    """A place where the power may fail; without the environment variables above, nothing."""
    global _passed  # noqa: PLW0603 - a count of the process, for tests
    if CRASH_AT not in os.environ and CRASH_LOG not in os.environ:
        return
    _passed += 1
    if CRASH_LOG in os.environ:
        with Path(os.environ[CRASH_LOG]).open("a", encoding="utf-8") as stream:
            stream.write(f"{_passed} {what}\n")
    if os.environ.get(CRASH_AT) == str(_passed):
        os.kill(os.getpid(), signal.SIGKILL)


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` under `path`, whole or not at all: temp file beside it, fsync, replace, fsync.

    Raises:
        StorageFault: the disk is full, or the folder is gone or not writable; `path` is unchanged.
    """
    temp = path.with_name(f"{UNFINISHED}{os.getpid()}-{secrets.token_hex(4)}")
    with _faults(path, len(data)):
        try:
            crash_point(f"before {path.name}")
            with temp.open("xb", buffering=0) as stream:
                for half in (data[: len(data) // 2], data[len(data) // 2 :]):
                    _write_all(stream.fileno(), half)
                    crash_point(f"within {path.name}")
                os.fsync(stream.fileno())
            crash_point(f"written {path.name}")
            temp.replace(path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
        crash_point(f"renamed {path.name}")
        sync_folder(path.parent)
    crash_point(f"kept {path.name}")


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, as UTF-8; undecodable bytes of file names come out as they were."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: object) -> None:
    """`write_bytes` for JSON types, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Add a line to a log and have it on the disk; a reader must bear a last line cut short.

    Raises:
        StorageFault: it could not be added.
    """
    with _faults(path):
        new = not path.exists()
        crash_point(f"before a line of {path.name}")
        with path.open("a+b", buffering=0) as stream:
            data = f"{line}\n".encode()
            if stream.seek(0, os.SEEK_END) and not _ends_a_line(stream):
                data = b"\n" + data  # the line before was cut short: leave it alone
            for half in (data[: len(data) // 2], data[len(data) // 2 :]):
                _write_all(stream.fileno(), half)
                crash_point(f"within a line of {path.name}")
            os.fsync(stream.fileno())
        if new:
            sync_folder(path.parent)
    crash_point(f"kept a line of {path.name}")


def make_folder(path: Path) -> None:
    """A folder, if it is not there, inside one that is.

    Raises:
        StorageFault: it cannot be made.
    """
    with _faults(path):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name `path` when the block is left without an error.

    The folder that it lies in is made if need be.

    Raises:
        StorageFault: it cannot be made or named; nothing of it is left.
    """
    temp = path.with_name(f"{UNFINISHED}{path.name}-{secrets.token_hex(4)}")
    with _faults(path):
        try:
            path.parent.mkdir(exist_ok=True)  # its own parent is not made again if it went away
            temp.mkdir()
            yield temp
            sync_folder(temp)
            crash_point(f"filled {path.name}/")
            temp.rename(path)
        except BaseException:
            shutil.rmtree(temp, ignore_errors=True)
            raise
        crash_point(f"renamed {path.name}/")
        sync_folder(path.parent)
    crash_point(f"kept {path.name}/")


def set_aside(path: Path, aside: Path) -> None:
    """Give a folder, if it is there, another name, under which it stays as good as it was."""
    if path.exists():
        remove_folder(aside)
        with _faults(path):
            path.rename(aside)
        crash_point(f"set aside {path.name}/")


def remove_folder(path: Path) -> None:
    """Take a folder away: its name goes first, so that nobody meets it half empty."""
    trash = path.with_name(f"{TRASH}{path.name}-{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        path.rename(trash)
        crash_point(f"trashed {path.name}/")
        shutil.rmtree(trash, ignore_errors=True)
        crash_point(f"removed {path.name}/")


def clean(folder: Path) -> None:
    """Remove what a killed process left unfinished in a folder and the folders below it."""
    for left in [*folder.rglob(f"{UNFINISHED}*"), *folder.rglob(f"{TRASH}*")]:
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut (where folders can be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ends_a_line(stream: FileIO) -> bool:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


def _write_all(descriptor: int, data: bytes) -> None:
    """All of `data`: one call may write less."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _faults(path: Path, size: int = 0) -> Iterator[None]:
    """What the system refuses, as an error that says what could not be written.

    Args:
        path: what is written.
        size: of it, bytes; 0 where that is no matter.

    Raises:
        StorageFault: the system refused.
    """
    try:
        yield
    except OSError as error:
        needed = f" ({size:,} bytes)" if size and error.errno in _FULL else ""
        message = f"Cannot write {path}: {error.strerror or error}{needed}."
        hint = "Free space, or make the folder writable; what was there before is unchanged."
        raise StorageFault(message, hint=hint) from error
