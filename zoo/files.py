"""The one way in which zoo writes a file that must not be lost or half there."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from zoo.errors import StorageFault


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` under `path`, whole or not at all: temp file beside it, fsync, replace, fsync.

    Raises:
        StorageFault: the disk is full, or the folder is gone or not writable; `path` is unchanged.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        message = f"Cannot write {path}: {error.strerror or error}."
        raise StorageFault(message, hint="Free space or choose another --out.") from error


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, as UTF-8."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: object) -> None:
    """`write_bytes` for JSON types, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut (where folders can be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
