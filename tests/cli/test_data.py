from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from zoo import caches, locks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Zoo


@pytest.fixture
def zoo(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Zoo:
    """Run `zoo data` on a cache folder of two caches."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    for name in ("weights", "pictures"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(1_500_000))

    return partial(zoo, "data")


def test_the_table_shows_each_cache(zoo: Zoo, tmp_path: Path) -> None:
    code, out, err = zoo("cache")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["pictures", "1.5", "1"],
        ["weights", "1.5", "1"],
    ]
    assert str(tmp_path) in err
    zoo("cache", "--clear")
    _, out, err = zoo("cache")
    assert not out
    assert err.startswith("Nothing is kept.\n")


def test_one_cache_alone_can_be_cleared(zoo: Zoo, tmp_path: Path) -> None:
    code, out, err = zoo("cache", "pictures", "--clear")
    assert code == 0
    assert "1.5 MB freed" in err
    assert "weights" in out
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_all_can_be_cleared_and_json_says_so(zoo: Zoo, tmp_path: Path) -> None:
    code, out, _ = zoo("cache", "--clear", "--json")
    assert code == 0
    assert json.loads(out) == {
        "path": str(tmp_path),
        "caches": [],
        "freed": 3_000_000,
        "in_use": [],
    }
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_is_left_alone_and_named(zoo: Zoo, tmp_path: Path) -> None:
    with locks.sharing(tmp_path / "pictures" / "pack" / caches.IN_USE):
        code, out, err = zoo("cache", "--clear")
    assert code == 0
    assert "3.0 MB freed" in err
    assert "in use, left alone: pictures/pack\n" in err
    assert "weights" not in out


@pytest.mark.parametrize("more", [[], ["--clear"], ["--json"]])
def test_an_unknown_cache_is_answered_with_those_that_are_there(zoo: Zoo, more: list[str]) -> None:
    code, out, err = zoo("cache", "picture", *more)
    assert (code, out) == (2, "")
    assert "pictures" in err
