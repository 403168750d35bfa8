"""Which images validate: decided by their bytes, so that moving or renaming them changes nothing.

The rule, for each class on its own: images with the same bytes form a group; groups are ranked by
sha256("seed:digest"); walking down that ranking, a group goes to validation if the class's
validation count, round(val_fraction * n), still has room for all of it. Everything else trains. So
the counts are exact but where groups of copies cannot fill them, and an added image moves others
only at the edge of the ranking. Bytes that stand under two classes always train: no figure should
be measured on a picture whose label is in doubt.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.data.hashes import KEEP_SECONDS, Hashes, hashed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo.data.rows import Row


#: share of each class that is held out where settings are judged by one fold alone
HELD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Copies:
    """Rows with the same bytes: a duplicate, a conflict or a leak.

    Args:
        digest: sha256 of the bytes, hex.
        names: the rows' names, sorted.
        labels: their labels, distinct, sorted.
        splits: their splits, distinct, sorted.
    """

    digest: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a report must say about copies; one set of copies may stand under several of these.

    Args:
        duplicates: copies that agree in label and split: harmless, but they count twice.
        conflicts: copies with different labels.
        leaks: copies in the training part and in val or test: the figure flatters.
    """

    duplicates: tuple[Copies, ...]
    conflicts: tuple[Copies, ...]
    leaks: tuple[Copies, ...]


def digests(
    rows: Sequence[Row],
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    hashes: Hashes | None = None,
) -> list[str]:
    """The sha256 of each row's file, hex; `""` where it cannot be read (decoding will say why).

    Args:
        rows: whose files to read.
        threads: how many files are read at once.
        progress: called with (done, total) after each file, in this thread; may raise to stop.
        hashes: what is known of them, which is added to; None to read every file.
    """
    read = hashes.digest if hashes else lambda path: hashed(path)[0]
    found: list[str] = []
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        for digest in pool.map(read, [row.path for row in rows]):
            found.append(digest)
            if hashes:
                hashes.keep(every=KEEP_SECONDS)
            if progress:
                progress(len(found), len(rows))
    finally:
        pool.shutdown(cancel_futures=True)
        if hashes:
            hashes.keep()
    return found


def assign(
    labels: Sequence[str], digests: Sequence[str], *, seed: int, val_fraction: float
) -> list[str]:
    """`"train"` or `"val"` for each row, by the rule at the top of this file.

    Every class keeps at least one training image; a class of one image trains. With few images
    per class (`val_fraction * n` below a half) a class has no validation image.

    Args:
        labels: each row's label.
        digests: each row's digest; rows without one (`""`) train.
        seed: another seed gives another split.
        val_fraction: the share that validates, 0 to below 1.
    """
    groups, doubtful = _groups(labels, digests)
    splits = ["train"] * len(labels)
    for members in groups.values():
        total = sum(len(rows) for rows in members.values())
        room = min(math.floor(val_fraction * total + 0.5), total - 1)
        for digest in sorted(members, key=lambda digest: _rank(seed, digest)):
            if digest in doubtful or len(members[digest]) > room:
                continue
            room -= len(members[digest])
            for row in members[digest]:
                splits[row] = "val"
    return splits


def folds(labels: Sequence[str], digests: Sequence[str], *, seed: int, count: int) -> list[int]:
    """Which of `count` folds each row is in, from 0; -1 for a row that is held out by none.

    Stratified: groups of copies are ranked as at the top of this file, and each goes to the fold
    with the fewest images of its class, then of all. Every class keeps an image for training
    whichever fold is held out; rows in doubt, or without a digest, always train.

    Args:
        labels: each row's label.
        digests: each row's digest.
        seed: another seed gives other folds.
        count: at least 2.
    """
    groups, doubtful = _groups(labels, digests)
    found, sizes = [-1] * len(labels), [0] * count
    for label in sorted(groups):
        members = {one: rows for one, rows in groups[label].items() if one not in doubtful}
        if len(groups[label]) < 2:  # noqa: PLR2004 - without its only group nothing would be left
            continue
        own = [0] * count
        for digest in sorted(members, key=lambda digest: _rank(seed, digest)):
            fold = min(range(count), key=lambda place: (own[place], sizes[place], place))
            own[fold] += len(members[digest])
            sizes[fold] += len(members[digest])
            for row in members[digest]:
                found[row] = fold
    return found


def findings(rows: Sequence[Row], digests: Sequence[str], splits: Sequence[str]) -> Findings:
    """Which rows have the same bytes, and what that means; all by digest, in one order.

    Args:
        rows: the rows.
        digests: their digests.
        splits: their splits, given or assigned.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        if digest:
            alike[digest].append(row)
    copies = [
        Copies(
            digest,
            tuple(sorted(rows[row].name for row in members)),
            tuple(sorted({rows[row].label for row in members})),
            tuple(sorted({splits[row] for row in members})),
        )
        for digest, members in sorted(alike.items())
        if len(members) > 1
    ]
    return Findings(
        duplicates=tuple(x for x in copies if len(x.labels) == 1 and len(x.splits) == 1),
        conflicts=tuple(x for x in copies if len(x.labels) > 1),
        leaks=tuple(x for x in copies if "train" in x.splits and len(x.splits) > 1),
    )


def _groups(
    labels: Sequence[str], digests: Sequence[str]
) -> tuple[dict[str, dict[str, list[int]]], set[str]]:
    """Rows by label and digest; and digests in doubt: none, or of bytes under several labels."""
    by_digest: dict[str, set[str]] = defaultdict(set)
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, (label, digest) in enumerate(zip(labels, digests, strict=True)):
        by_digest[digest].add(label)
        groups[label][digest].append(row)
    return groups, {"", *(one for one, found in by_digest.items() if len(found) > 1)}


def _rank(seed: int, digest: str) -> bytes:
    return hashlib.sha256(f"{seed}:{digest}".encode()).digest()
