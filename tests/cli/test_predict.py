from __future__ import annotations

import csv
import io
import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Zoo


def test_a_table_of_file_class_and_probability(finished: Path, images: Path, zoo: Zoo) -> None:
    code, out, err = zoo("predict", finished, images / "ant", images / "bee" / "0.png")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["file", "class", "probability"]
    assert [row[:2] for row in rows[1:]] == [
        *([str(images / "ant" / f"{number}.png"), "ant"] for number in range(5)),
        [str(images / "bee" / "0.png"), "bee"],
    ]
    assert all(0 < float(row[2]) <= 1 for row in rows[1:])


def test_json_has_every_classs_probability(finished: Path, images: Path, zoo: Zoo) -> None:
    code, out, _ = zoo("predict", finished / "model", images / "cat", "--json")
    assert code == 0
    answers = json.loads(out)
    assert [one["class"] for one in answers] == ["cat"] * 5
    for one in answers:
        assert (
            one["probability"] == one["probabilities"]["cat"] == max(one["probabilities"].values())
        )
        assert sum(one["probabilities"].values()) == pytest.approx(1)


def test_csv_is_read_back_whatever_the_name(
    finished: Path,
    images: Path,
    zoo: Zoo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(images / "ant")
    name = '=1+1, "x"\n\x1b.png'
    shutil.copy("0.png", name)
    code, out, _ = zoo("predict", finished, name, "0.png", "--csv")
    assert code == 0
    header, first, second = csv.reader(io.StringIO(out))
    assert header == ["file", "class", "probability"]
    assert first[:2] == ['\'=1+1, "x"\\n\\x1b.png', "ant"]
    assert second[0] == "0.png"
    assert first[2] == second[2]


def test_an_unreadable_file_is_named_and_the_others_answered(
    finished: Path, images: Path, zoo: Zoo
) -> None:
    (images / "bee" / "x.png").write_bytes(b"no picture")
    code, out, err = zoo("predict", finished, images / "bee", "--json")
    assert code == 65
    assert [one["class"] for one in json.loads(out)] == ["bee"] * 5
    assert "1 of the files cannot be read" in err
    assert "Mend or remove them" in err
    assert "bee/x.png" in err


def test_nothing_but_unreadable_files(finished: Path, tmp_path: Path, zoo: Zoo) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    code, out, err = zoo("predict", finished, tmp_path / "x.png", "--csv")
    assert (code, out.splitlines()) == (65, ["file,class,probability"])
    assert "x.png" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("finished",), 2, "Missing argument"),
        (("finished", "nowhere.png"), 66, "nowhere.png is not there"),
        (("nowhere", "images"), 66, "holds no model"),
    ],
)
def test_what_cannot_be_answered_says_why(  # noqa: PLR0913 - a table and fixtures
    finished: Path, images: Path, tmp_path: Path, zoo: Zoo,
    *, arguments: tuple[str, ...], code: int, words: str,
) -> None:  # fmt: skip
    assert finished.parent == images.parent == tmp_path
    got, out, err = zoo("predict", *arguments)
    assert (got, out) == (code, "")
    assert words in err
