"""What a labelled set of images is: rows of (path, label, split), and the classes they span."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zoo import encoding
from zoo.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Layout = Literal["folders", "splits", "table"]
Links = Literal["refuse", "follow"]

#: how a split may be called, in any capitalisation → what zoo calls it
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
#: how many of many problems a message names
NAMED = 20

EXPECTED = """One folder per class:
  photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg ...
or photos/train/ and photos/val/ (and photos/test/) with such folders inside,
or a CSV file with the columns path,label (and split), paths relative to the file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled image.

    Args:
        path: where the file is.
        name: its posix path relative to the table's root; bytes that are not UTF-8 stand as lone
            surrogates, as `os.fsdecode` leaves them. Unique within a table.
        label: its class.
        split: `"train"`, `"val"` or `"test"` where the data say so, else `""`.
    """

    path: Path
    name: str
    label: str
    split: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Every labelled image of a data set.

    Args:
        root: the folder that the names are relative to.
        layout: which of the accepted forms it came in.
        classes: the labels of the training part, by code point (never by locale).
        rows: sorted by name. Either every row has a split or none has; a given split always has a
            training part, but not always a validation part.
        ignored: names of what was passed over: hidden, left behind by a system, or no image.
    """

    root: Path
    layout: Layout
    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    ignored: tuple[str, ...] = ()


def make_table(
    root: Path,
    layout: Layout,
    rows: Iterable[Row],
    ignored: Iterable[str],
    *,
    source: Path | None = None,
) -> Table:
    """The table of these rows, if they make one.

    Args:
        root: what paths are relative to.
        layout: see `Table`.
        rows: in any order.
        ignored: see `Table`.
        source: what to call it in an error; `root` when None.

    Raises:
        BadData: no training part, a single class, a class that only val or test has, or two class
            names that look the same.
    """
    named = source or root
    ordered = tuple(sorted(rows, key=lambda row: row.name))
    classes = tuple(sorted({row.label for row in ordered if row.split in {"", "train"}}))
    if not classes:
        message = f"{named} has no training images."
        raise BadData(message, hint=EXPECTED)
    _refuse_extra(named, classes, ordered)
    _refuse_lookalikes(named, classes)
    if len(classes) == 1:
        message = f"{named} has a single class, {classes[0]!r}; a classifier needs two."
        raise BadData(message, hint=EXPECTED)
    return Table(root, layout, classes, ordered, tuple(sorted(ignored)))


def listed(problems: list[str], *, most: int = NAMED) -> str:
    """The first problems, one a line, and how many more there are."""
    lines = [f"  {encoding.line(problem)}" for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"  ... and {len(problems) - most} more")
    return "\n".join(lines)


def _refuse_extra(root: Path, classes: tuple[str, ...], rows: tuple[Row, ...]) -> None:
    """A class that is only validated on could never be predicted."""
    extra = sorted({(row.split, row.label) for row in rows if row.label not in classes})
    if extra:
        found = [f"{label!r} in {split}" for split, label in extra]
        message = f"{root} has classes without training images:\n{listed(found)}"
        raise BadData(message, hint="Give them images in train, or take them out of val and test.")


def _refuse_lookalikes(root: Path, classes: tuple[str, ...]) -> None:
    """`é` as one character and as two are two names to the disk and one to the reader."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[unicodedata.normalize("NFC", name)].append(name)
    twins = [f"{names[0]!a} and {names[1]!a}" for names in alike.values() if len(names) > 1]
    if twins:
        message = f"{root} has classes that differ only in Unicode composition:\n{listed(twins)}"
        raise BadData(message, hint="Put their images under one name.")
