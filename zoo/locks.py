"""One run per folder: a lock that the system frees when its holder dies."""

from __future__ import annotations

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
