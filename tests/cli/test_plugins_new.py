from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Zoo


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_files_are_named_and_so_is_what_to_type_next(zoo: Zoo) -> None:
    code, out, err = zoo("plugins", "new", "acme", "--kind", "head")
    assert code == 0
    files = out.splitlines()
    assert "zoo-acme/src/zoo_acme/cosine.py" in files
    assert all(Path(file).is_file() for file in files)
    assert "zoo run lite0+acme/cosine+ce --data demo\n" in err
    assert "./zoo-acme\n" in err


def test_json_says_what_was_written(zoo: Zoo) -> None:
    kinds = ("--kind", "loss", "--kind", "backbone")
    _, out, err = zoo("plugins", "new", "zoo-acme", *kinds, "--into", "here", "--json")
    told = json.loads(out)
    assert not err
    assert told["components"] == {"backbone": "acme/convnet", "loss": "acme/focal"}
    assert {
        str(file.relative_to("here")) for file in Path("here").rglob("*.*") if file.is_file()
    } <= {*told["files"]}
    assert [(told[key]) for key in ("distribution", "namespace", "module", "folder")] == [
        "zoo-acme",
        "acme",
        "zoo_acme",
        "here",
    ]
    assert (
        "zoo run acme/convnet+linear+acme/focal --data demo --weights none --train full"
        in (told["next"])
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["acme"], 2),
        (["acme", "--kind", "observer"], 2),
        (["--kind", "head"], 2),
        (["Acme", "--kind", "head"], 2),
        (["timm", "--kind", "backbone"], 2),
        (["acme", "--kind", "head", "--into", "full"], 73),
        (["acme", "--kind", "head", "--into", "no/such/place"], 74),
    ],
)
def test_what_cannot_be_has_its_exit_code_and_writes_nothing(
    zoo: Zoo, place: Path, words: list[str], code: int
) -> None:
    (place / "full").mkdir()
    (place / "full" / "mine").touch()
    ended, out, err = zoo("plugins", "new", *words)
    assert (ended, out) == (code, "")
    assert err
    assert sorted(path.name for path in place.rglob("*")) == ["full", "mine"]


def test_the_options_of_the_table_are_not_those_of_a_command(zoo: Zoo, place: Path) -> None:
    code, _, err = zoo("plugins", "--json", "new", "acme", "--kind", "head")
    assert code == 2
    assert "zoo plugins new --help" in err
    assert not [*place.iterdir()]


def test_without_a_kind_those_there_are_stand_below_each_other(zoo: Zoo) -> None:
    _, _, err = zoo("plugins", "new", "acme")
    assert err.endswith("Choose from:\n    backbone,\n    head,\n    loss\n")
