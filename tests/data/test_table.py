from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from zoo.data.rows import Row, make_table
from zoo.data.table import read_images, read_table
from zoo.errors import BadData, InputMissing, StorageFault

if TYPE_CHECKING:
    from pathlib import Path


def grow(root: Path, *names: str) -> Path:
    """Empty files of these names: reading a table decodes nothing."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_class_folders_are_read_below_the_class_and_sorted_by_name(tmp_path: Path) -> None:
    grow(tmp_path, "dog/b.jpg", "dog/a/x.PNG", "cat/1.webp")
    table = read_table(tmp_path)
    assert table.layout == "folders"
    assert table.classes == ("cat", "dog")
    assert [(row.name, row.label, row.split) for row in table.rows] == [
        ("cat/1.webp", "cat", ""),
        ("dog/a/x.PNG", "dog", ""),
        ("dog/b.jpg", "dog", ""),
    ]
    assert all(row.path == tmp_path / row.name for row in table.rows)


def test_classes_are_ordered_by_code_point(tmp_path: Path) -> None:
    grow(tmp_path, *(f"{name}/1.jpg" for name in ("10", "2", "1", "b", "B", "ä", "a")))
    assert read_table(tmp_path).classes == ("1", "10", "2", "B", "a", "b", "ä")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Train", "VALID", "Test"), ("TRAIN", "validation", "test")],
)
def test_split_folders_go_by_several_names(tmp_path: Path, train: str, val: str, test: str) -> None:
    grow(tmp_path, *(f"{split}/{label}/1.jpg" for split in (train, val, test) for label in "ab"))
    table = read_table(tmp_path)
    assert table.layout == "splits"
    assert table.classes == ("a", "b")
    assert sorted(row.split for row in table.rows) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert {row.name.split("/")[0]: row.split for row in table.rows} == {
        train: "train",
        val: "val",
        test: "test",
    }


@pytest.mark.parametrize("others", [(), ("test/a/1.jpg",)])
def test_train_without_val_is_never_taken_for_a_class(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    table = read_table(grow(tmp_path, "train/a/1.jpg", "train/b/1.jpg", *others))
    assert table.layout == "splits"
    assert table.classes == ("a", "b")
    assert "val" not in {row.split for row in table.rows}


def test_a_class_may_be_missing_in_val(tmp_path: Path) -> None:
    grow(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/b/1.jpg")
    (tmp_path / "val/a").mkdir()
    table = read_table(tmp_path)
    assert [row.label for row in table.rows if row.split == "val"] == ["b"]


def test_a_class_that_only_val_has_is_refused_by_name(tmp_path: Path) -> None:
    grow(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/c/1.jpg")
    with pytest.raises(BadData, match="'c' in val"):
        read_table(tmp_path)


def test_split_folders_beside_others_are_refused_by_name(tmp_path: Path) -> None:
    grow(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "extra/1.jpg")
    with pytest.raises(BadData, match="extra"):
        read_table(tmp_path)


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    grow(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg")
    with pytest.raises(BadData, match="two folders for one split"):
        read_table(tmp_path)


def test_splits_without_train_are_refused_with_what_to_do(tmp_path: Path) -> None:
    grow(tmp_path, "val/a/1.jpg", "test/a/1.jpg")
    with pytest.raises(BadData, match="no train folder") as caught:
        read_table(tmp_path)
    assert "point at" in caught.value.hint


def test_litter_is_ignored_and_listed(tmp_path: Path) -> None:
    grow(
        tmp_path,
        *("a/1.jpg", "b/1.jpg", "a/._1.jpg", "a/Thumbs.db", "a/notes.txt", ".git/x.jpg"),
        *("__MACOSX/a/1.jpg", "b/.ipynb_checkpoints/1.jpg", "readme.md"),
    )
    table = read_table(tmp_path)
    assert [row.name for row in table.rows] == ["a/1.jpg", "b/1.jpg"]
    assert table.ignored == (
        *(".git/", "__MACOSX/", "a/._1.jpg", "a/Thumbs.db", "a/notes.txt"),
        *("b/.ipynb_checkpoints/", "readme.md"),
    )


def test_a_missing_path_names_the_nearest_folder(tmp_path: Path) -> None:
    with pytest.raises(InputMissing) as caught:
        read_table(tmp_path / "no" / "such")
    assert caught.value.exit_code == 66
    assert str(tmp_path) in caught.value.hint


def test_an_empty_folder_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="empty"):
        read_table(tmp_path)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="neither a folder nor a table"):
        read_table(grow(tmp_path, "x.jpg") / "x.jpg")


def test_images_without_class_folders_show_the_expected_layout(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="2 images directly inside") as caught:
        read_table(grow(tmp_path, "1.jpg", "2.png", "readme.txt"))
    assert "photos/cat/1.jpg" in caught.value.hint


def test_a_folder_with_a_table_inside_points_at_the_table(tmp_path: Path) -> None:
    with pytest.raises(BadData) as caught:
        read_table(grow(tmp_path, "labels.csv", "1.jpg"))
    assert "labels.csv" in caught.value.hint


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="single class, 'cat'"):
        read_table(grow(tmp_path, "cat/1.jpg", "cat/2.jpg"))
    (tmp_path / "labels.csv").write_text("path,label\ncat/1.jpg,cat\n")
    with pytest.raises(BadData, match=r"labels\.csv has a single class, 'cat'"):
        read_table(tmp_path / "labels.csv")


def test_empty_class_folders_are_named_all_at_once(tmp_path: Path) -> None:
    grow(tmp_path, "a/1.jpg", "b/readme.txt")
    (tmp_path / "c").mkdir()
    with pytest.raises(BadData, match=r"b/\n  c/"):
        read_table(tmp_path)


def test_class_names_that_look_alike_are_refused(tmp_path: Path) -> None:
    rows = [Row(tmp_path, str(place), name) for place, name in enumerate(("é", "e\u0301"))]
    with pytest.raises(BadData, match="Unicode"):
        make_table(tmp_path, "folders", rows, ())


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_link_loops_end_and_broken_links_are_left_to_the_decoder(tmp_path: Path) -> None:
    grow(tmp_path, "a/1.jpg", "b/deep/1.jpg")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "b/deep/up").symlink_to("..")
    (tmp_path / "b/gone.jpg").symlink_to("nowhere.jpg")
    names = {row.name for row in read_table(tmp_path).rows}
    assert {"a/1.jpg", "b/deep/1.jpg", "b/gone.jpg"} <= names
    assert len(names) < 10


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_links_to_themselves_are_left_to_the_decoder_where_they_claim_to_be_images(
    tmp_path: Path,
) -> None:
    for place in (".", "train/a"):
        grow(tmp_path, "train/a/1.jpg", "train/b/1.jpg")
        for name in ("x.jpg", "x"):
            (tmp_path / place / name).symlink_to(name)
    (tmp_path / "train/x").symlink_to("x")
    table = read_table(tmp_path)
    assert [row.name for row in table.rows] == ["train/a/1.jpg", "train/a/x.jpg", "train/b/1.jpg"]
    assert set(table.ignored) == {"x", "x.jpg", "train/x", "train/a/x"}
    assert read_images([tmp_path / "x.jpg"]) == (tmp_path / "x.jpg",)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on posix only")
def test_strange_names_survive(tmp_path: Path) -> None:
    names = ["sp ace.jpg", "new\nline.jpg", "\x1b[2J.jpg", "-x.jpg", os.fsdecode(b"\xff.jpg")]
    try:
        grow(tmp_path, "b/1.jpg", *(f"[red]/{name}" for name in names))
    except OSError as error:
        pytest.skip(f"this file system refuses such names: {error}")
    table = read_table(tmp_path)
    assert sorted(row.name for row in table.rows if row.label == "[red]") == sorted(
        f"[red]/{name}" for name in names
    )
    assert all(row.path.exists() for row in table.rows)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_a_storage_fault(tmp_path: Path) -> None:
    grow(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(StorageFault):
            read_table(tmp_path)
    finally:
        (tmp_path / "a").chmod(0o755)


def test_read_images_takes_files_and_folders_once_each(tmp_path: Path) -> None:
    grow(tmp_path, "in/b.jpg", "in/a/c.png", "in/skip.txt", "z.bin")
    found = read_images([tmp_path / "z.bin", tmp_path / "in", tmp_path / "in/b.jpg"])
    assert found == tuple(tmp_path / name for name in ("z.bin", "in/a/c.png", "in/b.jpg"))


def test_read_images_refuses_what_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        read_images([tmp_path / "none.jpg"])
    with pytest.raises(BadData, match="no image"):
        read_images([tmp_path])
