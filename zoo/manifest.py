"""A folder's files, vouched for: `manifest.json` with sizes and SHA-256, written last.

The manifest also carries the hash of itself, so that a flipped bit in it is damage like any other
and is never taken for a fact.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from zoo.errors import BadData, Mismatch, Refused
from zoo.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST = "manifest.json"
SCHEMA = 1
#: more than this is no manifest of ours
_MAX_BYTES = 64 * 2**20


class Damaged(BadData):
    """A folder whose files are not what its manifest says, or that has none."""


def seal(folder: Path, contents: Mapping[str, bytes], facts: Mapping[str, Any]) -> None:
    """Read a folder's files back, and vouch for them.

    Args:
        folder: holds the files, all of them on the disk.
        contents: what was written under each name.
        facts: JSON types that the manifest shall keep beside the list of files.

    Raises:
        StorageFault: the manifest cannot be written.
        Damaged: what the disk gives back is not what was written.
    """
    for name, data in contents.items():
        if (folder / name).read_bytes() != data:
            raise Damaged(
                f"{folder / name} does not read back as it was written.",
                hint="The disk or its file system is failing: choose --out on another one.",
            )
    files = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    }
    said = {"schema": SCHEMA, "files": files, **facts}
    write_json(folder / MANIFEST, {**said, "sha256": own_hash(said)})


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, every byte of which is as it says.

    Raises:
        Damaged: something is missing, cut short or changed.
        Mismatch: a newer zoo wrote it.
        Refused: it names files outside of its folder, or something is a link.
    """
    refuse_link(folder)
    said = _read(folder / MANIFEST)
    if said["schema"] > SCHEMA:
        raise Mismatch(
            f"{folder} was written by a newer zoo (schema {said['schema']}; this one knows "
            f"{SCHEMA}).",
            hint="Upgrade zoo-registry to the version that the run was made with, or a later one.",
        )
    for name in said["files"]:
        part(folder, name, said)
    return said


def part(folder: Path, name: str, said: Mapping[str, Any]) -> bytes:
    """One file of a folder, its bytes being what the manifest `said` that they are.

    Raises:
        Damaged: it is missing, cut short, changed, or not vouched for.
        Refused: it lies outside of its folder, or is a link.
    """
    file = folder / name
    if file.parent != folder or name in {"", ".", ".."}:
        raise Refused(
            f"{folder / MANIFEST} names a file outside of its folder: {name!r}.",
            hint="Do not trust this run folder: zoo writes no such thing.",
        )
    if name not in said["files"]:
        raise Damaged(f"{folder / MANIFEST} does not vouch for {name}.")
    refuse_link(file)
    data, described = _bytes(file), said["files"][name]
    if len(data) != described["size"]:
        raise Damaged(f"{file} has {len(data)} bytes instead of {described['size']}.")
    if hashlib.sha256(data).hexdigest() != described["sha256"]:
        raise Damaged(f"{file} was changed: its SHA-256 is not the one in {MANIFEST}.")
    return data


def _read(file: Path) -> dict[str, Any]:
    refuse_link(file)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise Damaged(f"{file} is too large.")
        said = json.loads(_bytes(file))
        own = said.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise Damaged(f"{file} is missing or damaged.") from error
    if own != own_hash(said):
        raise Damaged(f"{file} was changed: its SHA-256 of itself is wrong.")
    if not _makes_sense(said):
        raise Damaged(f"{file} is no manifest.")
    return dict(said)


def _makes_sense(said: Mapping[str, Any]) -> bool:
    """Whether a manifest has the form of one: its own hash says only that nobody changed it."""
    schema, files = said.get("schema"), said.get("files")
    return (
        isinstance(schema, int)
        and isinstance(files, dict)
        and all(
            isinstance(one, dict) and {"size", "sha256"} <= one.keys() for one in files.values()
        )
    )


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Damaged(f"{file} cannot be read: {error.strerror}.") from error


def refuse_link(path: Path) -> None:
    """A run folder may come from a stranger: nothing in it is followed out of it.

    Raises:
        Refused: it is a symbolic link.
    """
    if path.is_symlink():
        raise Refused(
            f"{path} is a link: a run folder is read from inside itself alone.",
            hint="Copy what it points to into its place, if you trust it.",
        )


def own_hash(said: Mapping[str, Any]) -> str:
    """SHA-256, hex, of what a JSON file says, whatever its layout."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
