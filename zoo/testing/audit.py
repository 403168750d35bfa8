"""What a plugin's code reaches for outside of itself: the network, files, other programs."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request"})
_PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: kept by Python and by libraries for themselves
_OWN = ("__pycache__", os.devnull, "/proc/", "/dev/shm/")  # noqa: S108 - not written to

#: where temporary files go; asked once, since asking opens a file
_SCRATCH = tempfile.gettempdir()

#: where events go while something listens; an audit hook cannot be taken off
_listening: list[tuple[list[str], bool]] = []
_hooked = False


@contextmanager
def listening(*, reads: bool = False) -> Iterator[list[str]]:
    """The list that fills with what the block reached for, in words.

    Args:
        reads: whether opening a file for reading counts, too.
    """
    global _hooked  # noqa: PLW0603 - one hook for the process, and it stays
    if not _hooked:
        sys.addaudithook(_hear)
        _hooked = True
    found: list[str] = []
    listener = found, reads
    _listening.append(listener)
    try:
        yield found
    finally:
        _listening[:] = [one for one in _listening if one is not listener]


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if not _listening:
        return
    told, read = "", ""
    if event in _NETWORK:
        told = f"reached for the network ({event})"
    elif event in _PROGRAMS:
        told = f"started a program ({event})"
    elif event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITES and _is_foreign(path):
            told = f"opened {path} for writing"
        elif isinstance(path, str) and not any(part in path for part in _OWN):
            read = f"opened {path}"
    elif event in {"os.mkdir", "os.remove", "os.rename"} and _is_foreign(arguments[0]):
        told = f"changed the disk ({event} of {arguments[0]})"
    for found, reads in _listening:
        words = told or (read if reads else "")
        if words and words not in found:
            found.append(words)


def _is_foreign(path: object) -> bool:
    """Whether a path is one that a plugin has no business to write to."""
    if not isinstance(path, (str, bytes)):
        return False  # a file that is open already
    text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - in an audit hook
    inside = text.startswith((f"{_SCRATCH}/tmp", f"{_SCRATCH}/torch"))  # noqa: S108 - as tempfile names them
    return not inside and not any(part in text for part in _OWN)
