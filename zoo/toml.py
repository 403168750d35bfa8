"""TOML with the line of every key, so that a complaint about a value can say where it stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.errors import InputMissing, StorageFault, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: no file of settings that a person wrote is larger
MAX_BYTES = 1_000_000
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_PATH})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_PATH})\s*=")
_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")


@dataclass(frozen=True, slots=True)
class Document:
    """What a TOML file says, and where.

    Args:
        label: what to call the file in a sentence.
        values: as `tomllib` gives them.
        lines: path of keys → line, counted from 1.
    """

    label: str
    values: dict[str, Any]
    lines: Mapping[tuple[str, ...], int]

    def at(self, *path: str) -> str:
        """`"registry.toml:12"`: where that key, or the nearest table around it, is written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return f"{self.label}:{self.lines[path[:length]]}"
        return f"{self.label}:1"


def read(path: Path, *, label: str) -> Document:
    """The document in the file at `path`.

    Raises:
        InputMissing: there is no such file.
        StorageFault: it cannot be read.
        UsageError: it is too large, not UTF-8 or not TOML; the message names the line.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputMissing(f"There is no file {path}.") from error
    except OSError as error:
        raise StorageFault(f"Cannot read {path}: {error.strerror or error}.") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{label} is too large: at most {MAX_BYTES:,} bytes are read.")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{label}:{line}: this is not UTF-8 text.") from error
    try:
        return Document(label, tomllib.loads(text), _lines(text))
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise UsageError(f"{label}:{line}: {_AT_LINE.sub('', str(error))}.") from error
    except RecursionError as error:
        raise UsageError(f"{label} nests its values too deep.") from error


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of every table header and every key that starts a line.

    A scan, not a parser: keys inside inline tables are not found (`Document.at` then names the
    line of what they stand in), and the text is known to be good TOML.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    inside = ""  # the quotes of the multi-line string that the line begins in
    for number, line in enumerate(text.splitlines(), start=1):
        if not inside and (header := _HEADER.match(line)):
            table = _path(header[1])
            lines.setdefault(table, number)
        elif not inside and (assignment := _ASSIGNMENT.match(line)):
            path = (*table, *_path(assignment[1]))
            for length in range(len(table) + 1, min(len(path), len(table) + 4) + 1):
                lines.setdefault(path[:length], number)
        for quotes in ('"""', "'''"):
            if inside in ("", quotes) and line.count(quotes) % 2:
                inside = "" if inside else quotes
    return lines


def _path(text: str) -> tuple[str, ...]:
    return tuple(key.strip("\"'") for key in re.findall(_KEY, text))
