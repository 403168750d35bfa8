from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.rows import Row
from zoo.data.split import assign, digests, findings, folds


def sha(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(), st.floats(0, 0.9))
def test_counts_are_exact_in_every_class(counts: list[int], seed: int, fraction: float) -> None:
    labels = [f"class{place}" for place, count in enumerate(counts) for _ in range(count)]
    splits = assign(
        labels, [sha(row) for row in range(len(labels))], seed=seed, val_fraction=fraction
    )
    val = Counter(label for label, split in zip(labels, splits, strict=True) if split == "val")
    for place, count in enumerate(counts):
        assert val[f"class{place}"] == min(int(fraction * count + 0.5), count - 1)


def test_a_row_keeps_its_split_whatever_the_order_of_rows() -> None:
    rows = [(f"class{row % 3}", sha(row)) for row in range(90)]
    one = dict(zip(rows, assign(*zip(*rows, strict=True), seed=3, val_fraction=0.2), strict=True))
    rows.sort(key=lambda row: row[1])
    two = dict(zip(rows, assign(*zip(*rows, strict=True), seed=3, val_fraction=0.2), strict=True))
    assert one == two


def test_seeds_differ() -> None:
    rows = ["a"] * 50, [sha(row) for row in range(50)]
    splits = {tuple(assign(*rows, seed=seed, val_fraction=0.2)) for seed in range(5)}
    assert len(splits) == 5


def test_an_added_image_moves_others_at_the_edge_only() -> None:
    labels, hashes = ["a"] * 100, [sha(row) for row in range(100)]
    before = assign(labels, hashes, seed=0, val_fraction=0.2)
    for extra in range(20):
        after = assign([*labels, "a"], [*hashes, sha(f"x{extra}")], seed=0, val_fraction=0.2)
        moved = sum(old != new for old, new in zip(before, after[:-1], strict=True))
        assert moved <= 1


def test_copies_stay_together() -> None:
    labels = ["a"] * 60
    hashes = [sha(row // 3) for row in range(60)]
    splits = assign(labels, hashes, seed=1, val_fraction=0.25)
    assert splits.count("val") == 15
    assert all(len(set(splits[row : row + 3])) == 1 for row in range(0, 60, 3))


def test_bytes_under_two_classes_and_unreadable_files_train() -> None:
    labels = ["a"] * 10 + ["b"] * 10
    hashes = [sha("same"), *("" for _ in range(4)), *(sha(row) for row in range(5))]
    hashes += [sha("same"), *(sha(row) for row in range(20, 29))]
    for seed in range(20):
        splits = assign(labels, hashes, seed=seed, val_fraction=0.5)
        assert splits[:5] == ["train"] * 5
        assert splits[10] == "train"
        assert splits.count("val") == 10


def test_a_class_of_copies_of_one_image_trains() -> None:
    assert assign(["a"] * 5, [sha(0)] * 5, seed=0, val_fraction=0.4) == ["train"] * 5


def test_digests_are_sha256_of_bytes_in_row_order(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    rows = [Row(tmp_path / name, name, "x") for name in ("c", "a", "none", "b")]
    seen: list[tuple[int, int]] = []
    found = digests(rows, threads=2, progress=lambda done, total: seen.append((done, total)))
    assert found == [sha("c"), sha("a"), "", sha("b")]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_findings_name_duplicates_conflicts_and_leaks() -> None:
    rows = [Row(Path(name), name, name[0]) for name in ("a1", "a2", "b1", "b2", "a3", "a4", "b5")]
    hashes = ["d1", "d1", "d2", "d3", "d2", "d3", ""]
    splits = ["train", "train", "train", "val", "train", "train", "train"]
    found = findings(rows, hashes, splits)
    assert [copies.names for copies in found.duplicates] == [("a1", "a2")]
    assert [(copies.names, copies.labels) for copies in found.conflicts] == [
        (("a3", "b1"), ("a", "b")),
        (("a4", "b2"), ("a", "b")),
    ]
    assert [(copies.names, copies.splits) for copies in found.leaks] == [
        (("a4", "b2"), ("train", "val"))
    ]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(), st.integers(2, 9))
def test_folds_share_every_class_and_all_images_evenly(
    counts: list[int], seed: int, count: int
) -> None:
    labels = [f"class{place}" for place, number in enumerate(counts) for _ in range(number)]
    found = folds(labels, [sha(row) for row in range(len(labels))], seed=seed, count=count)
    for place, number in enumerate(counts):
        own = [fold for fold, label in zip(found, labels, strict=True) if label == f"class{place}"]
        if number == 1:
            assert own == [-1]  # nobody would be left to learn it from
            continue
        sizes = [own.count(fold) for fold in range(count)]
        assert (sum(sizes), max(sizes) - min(sizes) <= 1) == (number, True)
    sizes = [found.count(fold) for fold in range(count)]
    assert max(sizes) - min(sizes) <= 1


def test_a_row_keeps_its_fold_whatever_the_order_of_rows_and_another_seed_gives_others() -> None:
    rows = [(f"class{row % 3}", sha(row)) for row in range(90)]
    one = dict(zip(rows, folds(*zip(*rows, strict=True), seed=3, count=5), strict=True))
    rows.sort(key=lambda row: row[1])
    assert one == dict(zip(rows, folds(*zip(*rows, strict=True), seed=3, count=5), strict=True))
    assert one != dict(zip(rows, folds(*zip(*rows, strict=True), seed=4, count=5), strict=True))


def test_copies_are_in_one_fold_and_what_is_in_doubt_in_none() -> None:
    labels = ["a"] * 6 + ["b"] * 4 + ["c"] * 2
    names = [*"xxyzuu", "x", "p", "q", "", "same", "same"]
    found = folds(labels, names, seed=0, count=2)
    assert found[4] == found[5] >= 0
    assert found[0] == found[1] == found[6] == -1  # under two classes
    assert found[9] == -1  # unreadable
    assert found[10:] == [-1, -1]  # a class of copies of one image always trains
    assert {found[2], found[3], found[4]} == {found[7], found[8]} == {0, 1}
