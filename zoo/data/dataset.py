"""A labelled image set with its splits: what a run trains on and is measured by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import encoding
from zoo.data.split import HELD_OUT, Copies, Findings, assign, digests, findings, folds
from zoo.data.table import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from zoo.data.hashes import Hashes
    from zoo.data.rows import Links, Table

SPLIT_NAMES = ("train", "val", "test")
#: how many of many files a note names
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows of a table, each with its split and the hash of its bytes.

    Args:
        table: the labelled images.
        splits: `train`, `val` or `test` of each row.
        digests: SHA-256 of each row's file, hex; empty where it cannot be read.
        findings: copies, conflicts and leaks among them.
        given: whether the data said which image validates (else a seeded split did).
        skipped: images that could not be read and were left out: (name, why) of each.
        hashed: how many files were hashed for it, and not looked up.
    """

    table: Table
    splits: tuple[str, ...]
    digests: tuple[str, ...]
    findings: Findings
    given: bool
    skipped: tuple[tuple[str, str], ...] = ()
    hashed: int = 0

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
        """The set less these rows, which are skipped; nobody else changes split."""
        gone = set(rows)
        kept = [row for row in range(len(self.splits)) if row not in gone]
        return replace(
            self,
            table=replace(self.table, rows=tuple(self.table.rows[row] for row in kept)),
            splits=tuple(self.splits[row] for row in kept),
            digests=tuple(self.digests[row] for row in kept),
        )

    def skipping(self, problems: Iterable[tuple[int, str]]) -> Dataset:
        """The set less rows that cannot be read: (row, why) of each."""
        told = dict(problems)
        named = tuple((self.table.rows[row].name, why) for row, why in told.items())
        return replace(self.without(told), skipped=self.skipped + named)

    def notes_of_skipped(self, *, since: Dataset) -> str:
        """The first of the images that were left out since the set was another."""
        return _some([f"{name} ({why})" for name, why in self.skipped[len(since.skipped) :]])

    def folds(self, seed: int, count: int) -> NDArray[np.int64]:
        """Which fold holds out each of the training part's images `[n]`, from 0; -1 for none.

        Settings are judged by what is held out. One fold is taken as a validation part is, a share
        of each class, copies together; several are stratified, and between them hold out every
        image but those in doubt, and the only one of a class.
        """
        rows = self.rows("train")
        labels = [self.table.rows[row].label for row in rows]
        names = [self.digests[row] for row in rows]
        if count > 1:
            return np.array(folds(labels, names, seed=seed, count=count), np.int64)
        splits = assign(labels, names, seed=seed, val_fraction=HELD_OUT)
        return np.where(np.array(splits) == "val", 0, -1)

    def with_splits(self, splits: tuple[str, ...]) -> Dataset:
        """The same rows, split as another time."""
        return replace(self, splits=splits)

    def to_json(self, *, seed: int) -> dict[str, Any]:
        """As split.json has it."""
        return {
            "seed": None if self.given else seed,
            "skipped": [{"name": name, "reason": why} for name, why in self.skipped],
            "files": [
                {"name": row.name, "class": row.label, "split": split, "sha256": digest}
                for row, split, digest in zip(
                    self.table.rows, self.splits, self.digests, strict=True
                )
            ],
        }

    def notes(self) -> list[str]:
        """What a reader should know of the data before trusting a number."""
        alike = "in training and in validation or test alike"
        found = (
            (
                self.table.ignored,
                "file is no image and was",
                "files are no images and were",
                "passed over",
            ),
            (
                [f"{name} ({why})" for name, why in self.skipped],
                "image cannot be read and was",
                "images cannot be read and were",
                "skipped",
            ),
            (
                _twins(self.findings.conflicts),
                "image occurs",
                "images occur",
                "under more than one class",
            ),
            (_twins(self.findings.leaks), "image stands", "images stand", alike),
            (self._not_validated(), "class has", "classes have", "no validation image"),
        )
        return [
            f"{len(names)} {one if len(names) == 1 else many} {what}: {_some(names)}"
            for names, one, many, what in found
            if names
        ]

    def _not_validated(self) -> list[str]:
        """Classes of which no image validates; none where nothing validates at all."""
        counts = self.counts("val")
        return [
            name
            for name, count in zip(self.classes, counts, strict=True)
            if not count and any(counts)
        ]


def _twins(copies: Sequence[Copies]) -> list[str]:
    return [" = ".join(one.names) for one in copies]


def _some(names: Sequence[str]) -> str:
    """The first of many names."""
    return encoding.line("; ".join(names[:_SHOWN])) + (" ..." if len(names) > _SHOWN else "")


def source(data: str | Path) -> Path:
    """What the user calls the data, as a path; `demo` is the set that zoo draws itself."""
    if str(data) == "demo":
        from zoo.data.demo import demo_folder

        return demo_folder()
    return Path(data).expanduser()


def survey(  # noqa: PLR0913 - what to read, how to split it, and what helps and hears meanwhile
    path: Path,
    *,
    seed: int,
    val_fraction: float,
    threads: int,
    links: Links = "follow",
    hashes: Hashes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read a data set, hash its files, and split what is not split yet.

    Args:
        path: folder or table.
        seed: of the split.
        val_fraction: share of each class that validates where the data has no validation part.
        threads: readers.
        links: what to do about links inside a folder that lead out of it.
        hashes: what is known of the files; None to hash every one of them.
        progress: called with (files hashed, files in all); may raise to stop.

    Raises:
        InputMissing: nothing is there.
        BadData: it is no labelled image set.
        Refused: links lead out of the folder, and must not.
    """
    table = read_table(path, links=links)
    found = digests(table.rows, threads, progress, hashes)
    splits = [row.split or "train" for row in table.rows]
    given = "val" in splits
    if not given:
        training = [row for row, split in enumerate(splits) if split == "train"]
        assigned = assign(
            [table.rows[row].label for row in training],
            [found[row] for row in training],
            seed=seed,
            val_fraction=val_fraction,
        )
        for row, split in zip(training, assigned, strict=True):
            splits[row] = split
    copies = findings(table.rows, found, splits)
    taken = hashes.taken if hashes else len(found)
    return Dataset(table, tuple(splits), tuple(found), copies, given, hashed=taken)
