from __future__ import annotations

import sys
from pathlib import Path

import pytest

from zoo.data.table import Table, read_table
from zoo.errors import BadData, Unavailable


def table_of(folder: Path, text: str, *files: str) -> Table:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return read_table(folder / "t.csv")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = "\ufeffLabel,extra,path\ncat,1,img/1.jpg\ndog,2,./img/../img/2.jpg\n\n"
    table = table_of(tmp_path, text, "img/1.jpg", "img/2.jpg")
    assert table.layout == "table"
    assert table.root == tmp_path
    assert [(row.name, row.label, row.split) for row in table.rows] == [
        ("img/1.jpg", "cat", ""),
        ("img/2.jpg", "dog", ""),
    ]
    assert table.rows[0].path == tmp_path / "img/1.jpg"


def test_a_split_column_goes_by_the_names_of_the_folders(tmp_path: Path) -> None:
    text = "path,label,split\n1.jpg,a,train\n2.jpg,b,Train\n3.jpg,a,validation\n4.jpg,b,test\n"
    table = table_of(tmp_path, text, *(f"{number}.jpg" for number in range(1, 5)))
    assert [row.split for row in table.rows] == ["train", "train", "val", "test"]


def test_every_problem_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        "path,label,split\n1.jpg,a,train\n1.jpg,a,train\n1.jpg,b,train\n2.jpg,,train\n"
        ",b,train\n3.jpg,b,dev\nno.jpg,b,train\n4.jpg,b,\n"
    )
    with pytest.raises(BadData) as caught:
        table_of(tmp_path, text, *(f"{number}.jpg" for number in range(1, 5)))
    message = caught.value.message
    assert "7 problems" in message
    for part in (
        "line 3: 1.jpg again, as at line 2",
        "line 4: 1.jpg has the label 'b', but 'a' at line 2: single-label only",
        "line 5: 2.jpg has no label",
        "line 6: the path is empty",
        "line 7: 3.jpg has the split 'dev'",
        "line 8: no.jpg is not there",
        "split is given for some rows only; missing at line 9",
    ):
        assert part in message


def test_of_many_problems_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    text = "path,label\n" + "".join(f"{number}.jpg,a\n" for number in range(50))
    with pytest.raises(BadData, match=r"19.jpg is not there\n  ... and 30 more"):
        table_of(tmp_path, text)


@pytest.mark.parametrize("text", ["", "1.jpg,cat\n", "file,label\n"])
def test_a_missing_header_is_explained(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadData, match="columns path and label"):
        table_of(tmp_path, text)


@pytest.mark.parametrize(
    "text", ['path,label\n"1.jpg,cat\n', "path,label\n1.jpg\0,cat\n", "path,label\n"]
)
def test_broken_or_empty_files_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadData):
        table_of(tmp_path, text)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="line 2: sub is a folder"):
        table_of(tmp_path, "path,label\nsub,a\n", "sub/1.jpg")


def test_files_outside_of_the_root_keep_their_whole_name(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "out.jpg").touch()
    text = f"path,label\n../out.jpg,a\n{tmp_path / 'root/in.jpg'},b\n"
    table = table_of(tmp_path / "root", text, "in.jpg")
    assert {row.name for row in table.rows} == {(tmp_path / "out.jpg").as_posix(), "in.jpg"}


def test_names_do_not_depend_on_how_the_table_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = table_of(tmp_path, "path,label\nx/1.jpg,a\nx/2.jpg,b\n", "x/1.jpg", "x/2.jpg")
    monkeypatch.chdir(tmp_path)
    assert [row.name for row in read_table(Path("t.csv")).rows] == [row.name for row in whole.rows]


def test_a_table_reached_by_a_relative_path_names_the_files_that_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img/1.jpg").write_bytes(b"beside the table's folder")
    (tmp_path / "data/img").mkdir(parents=True)
    (tmp_path / "data/img/1.jpg").write_bytes(b"below it")
    (tmp_path / "data/t.csv").write_text("path,label\n../img/1.jpg,a\nimg/1.jpg,b\n")
    whole = read_table(tmp_path / "data/t.csv")
    monkeypatch.chdir(tmp_path)
    table = read_table(Path("data/t.csv"))
    assert [row.name for row in table.rows] == [row.name for row in whole.rows]
    assert {row.label: row.path.read_bytes() for row in table.rows} == {
        "a": b"beside the table's folder",
        "b": b"below it",
    }


def test_what_is_read_is_what_was_looked_for_through_links_too(tmp_path: Path) -> None:
    (tmp_path / "far/in").mkdir(parents=True)
    (tmp_path / "far/2.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "far/in")
    table = table_of(tmp_path, "path,label\n1.jpg,a\nlink/../2.jpg,b\n", "1.jpg")
    assert all(row.path.exists() for row in table.rows)


def test_parquet_gives_the_same_as_csv(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    text = "path,label,split\n1.jpg,7,train\n2.jpg,8,train\n3.jpg,7,test\n"
    plain = table_of(tmp_path, text, "1.jpg", "2.jpg", "3.jpg")
    columns = {
        "other": [1.0, 2.0, 3.0],
        "label": [7, 8, 7],
        "path": ["1.jpg", "2.jpg", "3.jpg"],
        "split": ["train", "train", "test"],
    }
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet") == plain


def test_parquet_with_numbers_for_paths_or_damaged_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"path": [1.5], "label": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(BadData, match="row 1"):
        read_table(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(BadData, match="not a readable Parquet"):
        read_table(tmp_path / "t.parquet")


def test_parquet_cells_of_other_types_are_named_by_their_column(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    good = {"path": ["1.jpg", "2.jpg"], "label": ["a", "b"], "split": ["train", "train"]}
    wrong = {"path": [b"1.jpg", b"2.jpg"], "label": [7.0, None], "split": [0.5, 0.5]}
    for column, values in wrong.items():
        parquet.write_table(pa.table({**good, column: values}), tmp_path / "t.parquet")
        with pytest.raises(BadData, match=f"row 1: the {column} is neither text nor a whole"):
            read_table(tmp_path / "t.parquet")


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").touch()
    with pytest.raises(Unavailable) as caught:
        read_table(tmp_path / "t.parquet")
    assert "zoo-registry[parquet]" in caught.value.hint
