"""A labelled image set with its splits: what a run trains on and is measured by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.split import Findings, assign, digests, findings
from zoo.data.table import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from zoo.data.rows import Links, Table

SPLIT_NAMES = ("train", "val", "test")
#: how many of many names a note gives
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows of a table, each with its split and the hash of its bytes.

    Args:
        table: the labelled images.
        splits: `train`, `val` or `test` of each row.
        digests: SHA-256 of each row's file, hex; empty where it cannot be read.
        findings: copies, conflicts and leaks among them.
        given: whether the data said which image validates (else a seeded split did).
        remarks: what was found besides, such as files left out, in words.
    """

    table: Table
    splits: tuple[str, ...]
    digests: tuple[str, ...]
    findings: Findings
    given: bool
    remarks: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """In class order."""
        return self.table.classes

    @property
    def targets(self) -> NDArray[np.int64]:
        """Class index of each row."""
        place = {name: index for index, name in enumerate(self.classes)}
        return np.array([place[row.label] for row in self.table.rows], np.int64)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Rows of a split, in the order of their hashes: the same wherever the files lie."""
        chosen = [row for row, name in enumerate(self.splits) if name == split]
        return np.array(
            sorted(chosen, key=lambda row: (self.digests[row], self.table.rows[row].name)), np.int64
        )

    def counts(self, split: str) -> tuple[int, ...]:
        """Images of each class in a split."""
        return tuple(
            np.bincount(self.targets[self.rows(split)], minlength=len(self.classes)).tolist()
        )

    def without(self, rows: Iterable[int]) -> Dataset:
        """The set less these rows; nobody else changes split."""
        gone = set(rows)
        kept = [row for row in range(len(self.splits)) if row not in gone]
        return replace(
            self,
            table=replace(self.table, rows=tuple(self.table.rows[row] for row in kept)),
            splits=tuple(self.splits[row] for row in kept),
            digests=tuple(self.digests[row] for row in kept),
        )

    def with_splits(self, splits: tuple[str, ...]) -> Dataset:
        """The same rows, split as another time."""
        return replace(self, splits=splits)

    def with_remarks(self, remarks: Iterable[str]) -> Dataset:
        """The same with more to say of it."""
        return replace(self, remarks=(*self.remarks, *remarks))

    def to_json(self, *, seed: int) -> dict[str, Any]:
        """As split.json has it."""
        return {
            "seed": None if self.given else seed,
            "files": [
                {"name": row.name, "class": row.label, "split": split, "sha256": digest}
                for row, split, digest in zip(
                    self.table.rows, self.splits, self.digests, strict=True
                )
            ],
        }

    def notes(self) -> list[str]:
        """What a reader should know of the data before trusting a number."""
        said = []
        if self.table.ignored:
            names = self.table.ignored
            said.append(
                f"{len(names)} files are no images and were passed over: {_some([*names], ', ')}"
            )
        for words, copies in (
            ("images occur under more than one class", self.findings.conflicts),
            ("images stand in training and in validation or test alike", self.findings.leaks),
        ):
            if copies:
                said.append(
                    f"{len(copies)} {words}: {_some([' = '.join(x.names) for x in copies])}"
                )
        if lacking := self._not_validated():
            said.append(f"{len(lacking)} classes have no validation image: {_some(lacking, ', ')}")
        return [*said, *self.remarks]

    def _not_validated(self) -> list[str]:
        """Classes of which no image validates; none where nothing validates at all."""
        counts = self.counts("val")
        return [
            name
            for name, count in zip(self.classes, counts, strict=True)
            if not count and any(counts)
        ]


def _some(names: list[str], between: str = "; ") -> str:
    """The first names, and whether there are more."""
    return between.join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")


def survey(
    path: Path,
    *,
    seed: int,
    val_fraction: float,
    threads: int,
    links: Links = "follow",
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read a data set, hash its files, and split what is not split yet.

    Args:
        path: folder or table.
        seed: of the split.
        val_fraction: share of each class that validates where the data has no validation part.
        threads: readers.
        links: what to do about links inside a folder that lead out of it.
        progress: called with (files hashed, files in all).

    Raises:
        InputMissing: nothing is there.
        BadData: it is no labelled image set.
        Refused: links lead out of the folder, and must not.
    """
    table = read_table(path, links=links)
    hashes = digests(table.rows, threads, progress)
    splits = [row.split or "train" for row in table.rows]
    given = "val" in splits
    if not given:
        training = [row for row, split in enumerate(splits) if split == "train"]
        assigned = assign(
            [table.rows[row].label for row in training],
            [hashes[row] for row in training],
            seed=seed,
            val_fraction=val_fraction,
        )
        for row, split in zip(training, assigned, strict=True):
            splits[row] = split
    return Dataset(table, tuple(splits), tuple(hashes), findings(table.rows, hashes, splits), given)
