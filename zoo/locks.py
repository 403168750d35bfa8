"""One run per folder, and caches that nobody removes under a run's hands.

The locks are the system's (`flock`): it frees them when their holder dies, however that comes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoo.errors import CannotCreate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "run.lock"
#: a lock is asked for again for so long: somebody may only be looking at it, or not have written
#: yet who holds it, seconds
_PATIENCE = 0.3
#: a folder that is removed each time before it can be locked is made anew so often
_TRIES = 100


def holder(folder: Path) -> str:
    """Who is at work in a run folder, for a message; empty when nobody is."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)
    return ""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder's lock.

    The lock is the system's (`flock`), so it is gone with the process that held it, however that
    ended; what the file says is only for the message.

    Raises:
        CannotCreate: another process holds it, and the message names it; or the folder is not
            writable, or its file system knows no locks.
    """
    file = folder / LOCK
    descriptor = _locked(file)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_me()).encode(), 0)
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def waiting(file: Path) -> Iterator[None]:
    """Hold a lock file that others hold for moments only: wait for it. The file stays.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Share:
    """A lock file that is held together with others, or alone for as long as nobody was let in."""

    def __init__(self, file: Path, descriptor: int, *, alone: bool) -> None:
        """Hold it by an open, locked descriptor."""
        self.alone = alone
        self._file = file
        self._descriptor = descriptor

    def admit(self) -> None:
        """Let others in, who wait for it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        self.alone = False

    def lasts(self) -> bool:
        """Whether what is held is still what is found under the name."""
        return _is_still(self._file, self._descriptor)


@contextmanager
def sharing(file: Path) -> Iterator[Share]:
    """Hold a lock file together with others, so that nobody removes its folder meanwhile.

    The folder and the file are made if need be. Whoever comes when nobody is there has it alone
    at first, and the next ones wait until that one lets them in: to go from shared to alone would
    be no single step, and might lose the lock.

    Raises:
        OSError: it cannot be made, or its file system knows no locks.
    """
    descriptor, alone = _shared(file)
    try:
        yield Share(file, descriptor, alone=alone)
    finally:
        os.close(descriptor)


@contextmanager
def alone(file: Path) -> Iterator[bool]:
    """Hold a lock file that nobody shares, without waiting; gives whether that is so.

    It is not where that cannot be told.
    """
    try:
        descriptor = _opened(file)
    except OSError:
        yield False
        return
    try:
        try:
            free = _taken_at_once(descriptor) and _is_still(file, descriptor)
        except OSError:  # a file system without locks
            free = False
        yield free
    finally:
        os.close(descriptor)


def _shared(file: Path) -> tuple[int, bool]:
    """A locked descriptor of a file that is still there, and whether nobody else has it."""
    for _ in range(_TRIES):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _opened(file)
        except FileNotFoundError:  # removed between the two calls
            continue
        try:
            alone = _taken_at_once(descriptor)
            if not alone:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_still(file, descriptor):
            return descriptor, alone
        os.close(descriptor)  # its folder was renamed away before it was locked
    raise FileNotFoundError(errno.ENOENT, "it is removed again and again", str(file))


def _opened(file: Path) -> int:
    # for reading, which is enough for a lock, and allowed where another user made the file
    return os.open(file, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _taken_at_once(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked(file: Path) -> int:
    """A descriptor of the lock file, locked."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            message = f"The lock {file} cannot be opened: {error.strerror}."
            hint = "Make the run folder writable, or choose another --out."
            raise CannotCreate(message, hint=hint) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = _holder(descriptor)
            os.close(descriptor)
            if time.monotonic() < until:
                time.sleep(_PATIENCE / 30)
                continue
            message = f"The run {file.parent} belongs to {who}, which is at work in it."
            raise CannotCreate(message, hint="Wait for it, or choose another --out.") from error
        except OSError as error:
            os.close(descriptor)
            message = f"The file system of {file.parent} knows no locks: {error.strerror}."
            raise CannotCreate(message, hint="Choose --out on another one.") from error
        if _is_still(file, descriptor):
            return descriptor
        os.close(descriptor)  # its holder removed it between our two calls: it locks nothing


def _is_still(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(file.stat(follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def _me() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _holder(descriptor: int) -> str:
    """Who holds the lock, by what the file says."""
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(said['pid'])} on {str(said['host'])[:80]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
