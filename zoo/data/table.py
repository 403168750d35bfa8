"""From what the user points at to a `Table`: class folders, split folders, or a listing.

Splits are recognised by one rule: if any folder directly below the root is called `train`, `val`,
`valid`, `validation` or `test`, in any capitalisation, then all of them must be, and `train` must
be among them. So `train` is never taken for a class by accident. Where there is no validation
part, it is split off the training part (`zoo.data.split`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.listing import LISTINGS, read_listing
from zoo.data.rows import EXPECTED, SPLITS, Row, Table, listed, make_table
from zoo.data.walk import entries, is_folder, is_image, is_litter, walk
from zoo.errors import BadData, InputMissing, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.data.rows import Links

__all__ = ["Row", "Table", "read_images", "read_table"]


def read_table(path: Path, *, links: Links = "follow") -> Table:
    """The labelled images at `path`: a folder, or a CSV or Parquet file. Nothing is decoded.

    Args:
        path: folder or file.
        links: what to do about links inside a folder that lead out of it.

    Raises:
        InputMissing: nothing is there, or an empty folder.
        BadData: what is there is no labelled image set of an accepted form.
        Refused: links lead out of the folder, and must not.
        Unavailable: a Parquet table without pyarrow.
        StorageFault: a folder cannot be read.
    """
    _must_exist(path)
    if path.is_dir():
        return _read_folder(path, path if links == "refuse" else None)
    if path.suffix.casefold() in LISTINGS:
        return read_listing(path)
    message = f"{path} is neither a folder nor a table of images."
    raise BadData(message, hint=EXPECTED)


def read_images(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The image files that `paths` name, for prediction: files as they are, folders searched.

    In the given order, a folder's files by name; a file named twice comes once.

    Raises:
        InputMissing: a path is not there.
        BadData: a folder holds no image.
    """
    found: dict[Path, None] = {}
    for path in paths:
        _must_exist(path)
        if not os.path.isdir(path):  # noqa: PTH112 - which bears a link that leads nowhere
            found[path] = None
            continue
        images = walk(path).images
        if not images:
            raise BadData(f"{path} holds no image file.")
        found.update(dict.fromkeys(path / name for name in sorted(images)))
    return tuple(found)


def _must_exist(path: Path) -> None:
    if not os.path.lexists(path):
        above = path.absolute().parents
        where = next((one for one in above if os.path.exists(one)), path)  # noqa: PTH110 - bears all
        raise InputMissing(f"{path} is not there.", hint=f"The nearest folder is {where}.")


def _read_folder(root: Path, within: Path | None) -> Table:
    found = entries(root)
    if not found:
        raise InputMissing(f"{root} is empty.", hint=EXPECTED)
    folders = [entry.name for entry in found if is_folder(entry) and not is_litter(entry.name)]
    ignored = [
        f"{entry.name}/" if is_folder(entry) else entry.name
        for entry in found
        if entry.name not in folders
    ]
    if not folders:
        raise _no_class_folders(root, ignored)
    if any(name.casefold() in SPLITS for name in folders):
        return _read_splits(root, folders, ignored, within)
    rows, more = _read_classes(root, folders, within)
    return make_table(root, "folders", rows, ignored + more)


def _read_splits(root: Path, folders: list[str], ignored: list[str], within: Path | None) -> Table:
    rows: list[Row] = []
    for name, split in _splits(root, folders).items():
        inside = entries(root / name)
        classes = [entry.name for entry in inside if is_folder(entry) and not is_litter(entry.name)]
        ignored += [f"{name}/{entry.name}" for entry in inside if entry.name not in classes]
        if not classes:
            raise _no_class_folders(root / name, [entry.name for entry in inside])
        more_rows, more_ignored = _read_classes(root, classes, within, split, f"{name}/")
        rows += more_rows
        ignored += more_ignored
    return make_table(root, "splits", rows, ignored)


def _splits(root: Path, folders: list[str]) -> dict[str, str]:
    """Folder → split, by the rule at the top of this file."""
    splits = {name: SPLITS.get(name.casefold(), "") for name in folders}
    strangers = [name for name, split in splits.items() if not split]
    if strangers:
        known = [name for name, split in splits.items() if split]
        message = f"{root} has split folders ({', '.join(known)}) beside others:"
        hint = "Move the others away, or rename the splits if they are meant as classes."
        raise BadData(f"{message}\n{listed(strangers)}", hint=hint)
    if len(set(splits.values())) < len(splits):
        message = f"{root} has two folders for one split: {', '.join(splits)}."
        raise BadData(message, hint="Keep one of train, one of val (valid, validation), one test.")
    if "train" not in splits.values():
        message = f"{root} has {' and '.join(splits)} but no train folder."
        hint = f"Add train/, or point at {root / folders[0]} for its images alone."
        raise BadData(message, hint=hint)
    return splits


def _read_classes(
    root: Path, classes: list[str], within: Path | None, split: str = "", prefix: str = ""
) -> tuple[list[Row], list[str]]:
    """Rows of every class folder `root/prefix/class`, and names of what was ignored.

    A class without images is refused, but where only val or test lack it.
    """
    rows: list[Row] = []
    ignored: list[str] = []
    empty: list[str] = []
    outside: list[str] = []
    for label in classes:
        above = (root, root / prefix)
        found = walk(root / prefix / label, f"{prefix}{label}", within=within, above=above)
        rows += [Row(root / name, name, label, split) for name in found.images]
        ignored += found.ignored
        outside += found.outside
        if not found.images and split in {"", "train"}:
            empty.append(f"{prefix}{label}/")
    if outside:
        message = f"{root} has links that lead out of it:\n{listed(outside)}"
        raise Refused(message, hint="If what they lead to is meant: --set links=follow")
    if empty:
        message = f"{root} has class folders without an image:\n{listed(empty)}"
        raise BadData(message, hint="Fill them or take them away.")
    return rows, ignored


def _no_class_folders(root: Path, names: list[str]) -> BadData:
    listing = [name for name in names if Path(name).suffix.casefold() in LISTINGS]
    if listing:
        message = f"{root} has no class folders, but a table."
        return BadData(message, hint=f"Point at the table: {root / listing[0]}")
    images = sum(is_image(name) for name in names)
    what = f"{images} images directly inside and " if images else ""
    return BadData(f"{root} has {what}no class folders.", hint=EXPECTED)
