"""Tables of `path,label[,split]`: CSV by the standard library, Parquet by pyarrow.

Paths are relative to the table's folder. A header line is needed; other columns are passed over.
Every problem of the file is reported at once, with its line (CSV) or row (Parquet, from 1).
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.data.rows import EXPECTED, SPLITS, Row, Table, listed, make_table
from zoo.errors import BadData, StorageFault, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTINGS = (".csv", ".parquet")
_COLUMNS = ("path", "label", "split")

#: (where it stands, path, label, split); None where a cell is not text
_Record = tuple[str, str | None, str | None, str | None]


def read_listing(path: Path) -> Table:
    """The table that a CSV or Parquet file spells.

    Raises:
        BadData: anything wrong with it, all of it in one message.
        Unavailable: Parquet without pyarrow.
        StorageFault: the file cannot be read.
    """
    records = _parquet if path.suffix.casefold() == ".parquet" else _csv
    reader = _Reader(path.parent)
    try:
        for record in records(path):
            reader.take(*record)
    except OSError as error:
        raise StorageFault(f"Cannot read {path}: {error.strerror or error}.") from error
    problems = reader.problems()
    if problems:
        raise BadData(f"{path} has {len(problems)} problems:\n{listed(problems)}")
    if not reader.rows:
        raise BadData(f"{path} lists no images.", hint=EXPECTED)
    return make_table(path.parent, "table", reader.rows.values(), (), source=path)


class _Reader:
    """Collects rows and problems, record by record."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: dict[str, Row] = {}
        self._where: dict[str, str] = {}
        self._problems: list[str] = []
        self._without_split: list[str] = []

    def take(self, where: str, path: str | None, label: str | None, split: str | None) -> None:
        """Judge one record."""
        if path is None or label is None or split is None:
            column = _COLUMNS[(path, label, split).index(None)]
            self._problems.append(f"{where}: the {column} is neither text nor a whole number")
            return
        if complaint := self._complaint(path, label, split):
            self._problems.append(f"{where}: {complaint}")
            return
        name = self._name(path)
        label = label.strip()
        if name in self.rows:
            self._problems.append(f"{where}: {self._again(name, label)}")
            return
        if not split.strip():
            self._without_split.append(where)
        self._where[name] = where
        canonical = SPLITS.get(split.strip().casefold(), "")
        self.rows[name] = Row(self.root / path, name, label, canonical)

    def problems(self) -> list[str]:
        """All that is wrong, in the file's order where it is one record's fault."""
        if 0 < len(self._without_split) < len(self.rows):
            mixed = "split is given for some rows only; missing at "
            self._problems.append(mixed + ", ".join(self._without_split[:3]))
        return self._problems

    def _name(self, path: str) -> str:
        """One name for one file: relative to the root where it lies below it.

        By the text alone: links are not followed for it, so what is read is by the path as it is.
        """
        whole, root = (os.path.abspath(one) for one in (self.root / path, self.root))  # noqa: PTH100
        below = whole.startswith(os.path.join(root, ""))  # noqa: PTH118
        return Path(os.path.relpath(whole, root) if below else whole).as_posix()

    def _complaint(self, path: str, label: str, split: str) -> str:
        if not path:
            return "the path is empty"
        if not label.strip():
            return f"{path} has no label"
        if split.strip() and split.strip().casefold() not in SPLITS:
            return f"{path} has the split {split!r} (train, val or test)"
        whole = self.root / path
        if "\0" in path or not os.path.lexists(whole):
            return f"{path} is not there"
        return f"{path} is a folder" if os.path.isdir(whole) else ""  # noqa: PTH112 - bears all links

    def _again(self, name: str, label: str) -> str:
        first = self.rows[name]
        if first.label == label:
            return f"{name} again, as at {self._where[name]}"
        return (
            f"{name} has the label {label!r}, but {first.label!r} at {self._where[name]}: "
            "single-label only"
        )


def _csv(path: Path) -> Iterator[_Record]:
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            places = _places(path, next(reader, []))
            for cells in reader:
                if cells:
                    yield f"line {reader.line_num}", *_cells(cells, places)
        except csv.Error as error:
            raise BadData(f"{path}, line {reader.line_num}: {error}.", hint=EXPECTED) from error


def _places(path: Path, header: list[str]) -> dict[str, int]:
    """Column → place in a line."""
    names = [name.strip().casefold() for name in header]
    if "path" not in names or "label" not in names:
        shown = ", ".join(repr(name) for name in header[:8]) or "nothing"
        message = f"{path} needs a first line with the columns path and label; it has {shown}."
        raise BadData(message, hint="path,label\nphotos/1.jpg,cat\nphotos/2.jpg,dog")
    return {name: names.index(name) for name in _COLUMNS if name in names}


def _cells(cells: list[str], places: dict[str, int]) -> tuple[str, str, str]:
    path, label, split = (
        cells[places[name]] if name in places and places[name] < len(cells) else ""
        for name in _COLUMNS
    )
    return path, label, split


def _parquet(path: Path) -> Iterator[_Record]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        message = f"{path} is a Parquet table, and pyarrow is not installed."
        hint = 'pip install "zoo-registry[parquet]"'
        raise Unavailable(message, hint=hint) from error
    try:
        names = parquet.read_schema(path).names
        places = _places(path, names)
        columns = parquet.read_table(path, columns=[names[place] for place in places.values()])
    except pa.ArrowException as error:
        raise BadData(f"{path} is not a readable Parquet table: {error}.") from error
    values = [column.to_pylist() for column in columns.columns]
    by_name = dict(zip(places, values, strict=True))
    missing = [""] * columns.num_rows
    cells = zip(*(by_name.get(name, missing) for name in _COLUMNS), strict=True)
    for number, (file, label, split) in enumerate(cells, 1):
        yield f"row {number}", _text(file), _text(label), _text(split)


def _text(value: object) -> str | None:
    """A Parquet cell as a CSV would spell it: class numbers are fine, all else must be text."""
    if value is None:
        return ""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
