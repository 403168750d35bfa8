"""Logs of JSON whose lines carry a hash of their own: a damaged one, or one cut short, is left out.

Each line holds entries, and whoever reads gets those of all lines, the oldest first.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CHECK_LENGTH = 16


def line(entries: Sequence[Sequence[Any]]) -> str:
    """A line that holds these entries, of JSON types."""
    said = json.dumps(entries)
    return f"{_check(said)} {said}"


def entries(file: Path) -> Iterator[list[Any]]:
    """What the whole lines of a log hold; nothing where it cannot be read."""
    try:
        lines = file.read_text("ascii", errors="replace").splitlines()
    except OSError:
        return
    for one in lines:
        check, _, said = one.partition(" ")
        if check == _check(said):
            yield from json.loads(said)


def _check(said: str) -> str:
    return hashlib.sha256(said.encode()).hexdigest()[:_CHECK_LENGTH]
