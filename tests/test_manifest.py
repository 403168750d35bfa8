from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from zoo import manifest
from zoo.errors import Mismatch, Refused
from zoo.manifest import MANIFEST, Damaged, seal, verified

if TYPE_CHECKING:
    from pathlib import Path

CONTENTS = {"state.safetensors": b"numbers" * 100, "position.json": b"{}", "empty": b""}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("os.fsync", int)
    for name, data in CONTENTS.items():
        (tmp_path / name).write_bytes(data)
    seal(tmp_path, CONTENTS, {"step": 7})
    return tmp_path


def resealed(folder: Path, **changes: Any) -> None:  # noqa: ANN401 - JSON
    """A manifest that is whole by its own hash, whatever it says."""
    said = json.loads((folder / MANIFEST).read_text()) | changes
    del said["sha256"]
    own = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps({**said, "sha256": own}))


def test_a_whole_folder_gives_back_its_facts(folder: Path) -> None:
    said = verified(folder)
    assert said["step"] == 7
    assert {name: one["size"] for name, one in said["files"].items()} == {
        name: len(data) for name, data in CONTENTS.items()
    }


def test_another_file_beside_them_is_nobodys_concern(folder: Path) -> None:
    (folder / "other").write_bytes(b"x")
    assert verified(folder)["step"] == 7


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_that_is_gone_is_damage(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(Damaged, match=f"{name} cannot be read: No such file"):
        verified(folder)


@pytest.mark.parametrize("name", ["state.safetensors", "position.json"])
def test_a_bit_that_flipped_or_a_byte_that_is_gone_is_damage(folder: Path, name: str) -> None:
    data = CONTENTS[name]
    (folder / name).write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(Damaged, match=f"{name} was changed"):
        verified(folder)
    (folder / name).write_bytes(data[:-1])
    with pytest.raises(Damaged, match=f"has {len(data) - 1} bytes instead of {len(data)}"):
        verified(folder)


def test_every_bit_of_the_manifest_is_vouched_for(folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    facts = verified(folder)
    for place in range(0, len(whole), 7):
        (folder / MANIFEST).write_bytes(
            whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :]
        )
        try:
            said = verified(folder)
        except Damaged:
            continue
        assert said == facts  # a blank between two values


@pytest.mark.parametrize(
    "said", ["", "{", "[]", "7", '{"files": {}}', '{"sha256": 1}', "[" * 100_000]
)
def test_what_is_no_manifest_is_damage(folder: Path, said: str) -> None:
    (folder / MANIFEST).write_text(said)
    with pytest.raises(Damaged):
        verified(folder)


def test_a_manifest_without_end_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_MAX_BYTES", 100)
    with pytest.raises(Damaged, match="too large"):
        verified(folder)


def test_a_newer_schema_is_a_mismatch_and_says_what_to_do(folder: Path) -> None:
    resealed(folder, schema=2)
    with pytest.raises(Mismatch, match="newer zoo") as caught:
        verified(folder)
    assert "Upgrade" in caught.value.hint


@pytest.mark.parametrize("name", ["../other", "/etc/passwd", "a/b", "", ".", ".."])
def test_a_file_outside_of_the_folder_is_refused(folder: Path, name: str) -> None:
    resealed(folder, files={name: {"size": 0, "sha256": ""}})
    with pytest.raises(Refused, match="outside of its folder"):
        verified(folder)


@pytest.mark.parametrize("name", ["position.json", MANIFEST])
def test_a_link_is_refused_even_to_the_right_bytes(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / name
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(Refused, match="is a link"):
        verified(folder)


def test_what_the_disk_does_not_give_back_is_not_vouched_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"what the disk kept")
    with pytest.raises(Damaged, match="does not read back") as caught:
        seal(tmp_path, {"a": b"what was written"}, {})
    assert "another one" in caught.value.hint
    assert not (tmp_path / MANIFEST).exists()
