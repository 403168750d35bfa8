"""Files are there whole, or as they were before."""

from __future__ import annotations

import errno
import json
import math
import os
from typing import TYPE_CHECKING

import pytest

from zoo import files
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    for data in (b"first", b"", bytes(range(256))):
        files.write_bytes(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("failure", "seen"),
    [(OSError(errno.ENOSPC, "No space left on device"), StorageFault), (KeyboardInterrupt(),) * 2],
    ids=["disk_full", "interrupt"],
)
def test_a_failure_on_the_way_leaves_the_old_file_and_no_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    failure: BaseException,
    seen: type[BaseException] | BaseException,
) -> None:
    path = tmp_path / "plan.json"
    files.write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(files.os if call == "fsync" else files.Path, call, fail)
    with pytest.raises(seen if isinstance(seen, type) else type(seen)):
        files.write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_error_says_what_could_not_be_written_and_why(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "plan.json"
    with pytest.raises(StorageFault, match=r"gone/plan\.json: No such file") as caught:
        files.write_bytes(path, b"new")
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)


def test_data_reach_the_disk_before_the_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    fsync, replace = os.fsync, files.Path.replace

    def seen_fsync(descriptor: int) -> None:
        order.append("fsync")
        fsync(descriptor)

    def seen_replace(path: Path, target: Path) -> Path:
        order.append("replace")
        return replace(path, target)

    monkeypatch.setattr(files.os, "fsync", seen_fsync)
    monkeypatch.setattr(files.Path, "replace", seen_replace)
    files.write_bytes(tmp_path / "plan.json", b"new")
    assert order == ["fsync", "replace", "fsync"]  # the file, its name, its folder


def test_json_keeps_the_order_of_keys_and_stays_ascii(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    value = {"z": "über", "a": [1, 0.1, None, True], "name": "caf\udce9.jpg"}
    files.write_json(path, value)
    assert path.read_bytes().isascii()
    assert path.read_text().endswith("}\n")
    assert list(json.loads(path.read_text()).items()) == list(value.items())


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_json_lacks_is_refused_before_the_file_is_touched(
    tmp_path: Path, number: float
) -> None:
    path = tmp_path / "plan.json"
    files.write_json(path, {"top1": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"top1": number})
    assert json.loads(path.read_text()) == {"top1": 0.5}


def test_text_gives_back_the_bytes_of_undecodable_file_names(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    files.write_text(path, os.fsdecode(b"caf\xe9.jpg"))
    assert path.read_bytes() == b"caf\xe9.jpg"
