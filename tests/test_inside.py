from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoo import inside
from zoo.errors import BadData, Refused

if TYPE_CHECKING:
    from pathlib import Path


def test_an_object_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": ["\\udcff", 1]}')
    assert inside.read_object(tmp_path / "a.json") == {"a": ["\udcff", 1]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1', "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[1]", "no JSON object"),
        (b"[" * 100_000, "too deep"),
        (b'{"a": "' + b"x" * 100 + b'"}', "more than 100 bytes"),
    ],
)
def test_what_is_none_is_bad_data(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    limit = 100 if "bytes" in words else inside.MAX_BYTES
    with pytest.raises(BadData, match=words) as caught:
        inside.read_object(tmp_path / "a.json", limit=limit)
    assert "a.json" in caught.value.message
    assert caught.value.hint


def test_links_are_found_at_any_depth_and_of_any_kind(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "a" / "b").mkdir(parents=True)
    (run / "a" / "file").touch()
    inside.refuse_links(run)
    (tmp_path / "link").symlink_to(run)
    inside.refuse_links(tmp_path / "link")
    for place, target in (("x", "nowhere"), ("a/b/x", "../file"), ("a/b/y", "..")):
        (run / place).symlink_to(target)
        with pytest.raises(Refused, match=f"{place} is a link"):
            inside.refuse_links(run)
        (run / place).unlink()
