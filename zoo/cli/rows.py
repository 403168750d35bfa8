"""The lines of the list, as plain values: kept for the next command, filtered and sorted."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: a row for each component; one for each weights tag in its place; or each with its record
View = Literal["rows", "tags", "records"]


class Row(NamedTuple):
    """One line of the list: a component or an entry.

    Args:
        kind: backbone, head, loss or entry.
        name: with its namespace.
        summary: one line.
        params: number of parameters of a backbone, where it is known.
        features: width of its features, likewise.
        size: (height, width) of the input, pixels.
        top1: of the default weights, or those of the row's tag, percent.
        licence: of those weights; None without any.
        tags: how many tags its weights have, and the default one; or whether this one is it.
        also: other texts that a pattern may match: aliases, an entry's spec.
        record: as `--json` has it in its array; empty where nobody asked for it.
    """

    kind: str
    name: str
    summary: str
    params: int | None = None
    features: int | None = None
    size: tuple[int, int] | None = None
    top1: float | None = None
    licence: str | None = None
    tags: str = ""
    also: tuple[str, ...] = ()
    record: str = ""

    def known(self, fact: str) -> float | None:
        """The number behind a filter or a sort order; None where it is not known."""
        if fact == "size":
            return max(self.size) if self.size else None
        return {"params": self.params, "features": self.features, "top1": self.top1}[fact]


def count(number: float) -> str:
    """Large numbers as people say them: 11.2M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if number >= unit:
            return f"{number / unit:.3g}{letter}"
    return f"{number:g}"


def side(size: tuple[int, int] | None) -> str:
    """An input size: 224, or 224x256 (height x width)."""
    if size is None:
        return ""
    return f"{size[0]}" if size[0] == size[1] else f"{size[0]}x{size[1]}"
