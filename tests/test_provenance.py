"""What a run was made with, and what of it is different now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from zoo import __version__, provenance
from zoo.plugins.distributions import Source

if TYPE_CHECKING:
    from pathlib import Path

PARTS = ("backbone", "head", "loss")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of an installed plugin, zoo-acme 1.0."""
    folder = tmp_path / "zoo_acme_files"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("one = 1\n")
    (folder / "inner" / "hot.py").write_text("two = 2\n")
    (folder / "catalog.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    source = Source("zoo-acme", "1.0", "acme", "zoo_acme_files", "fingerprint")
    monkeypatch.setattr(provenance, "sources", lambda: (source,))

    def version(name: str) -> str:
        if name not in VERSIONS:
            raise provenance.metadata.PackageNotFoundError(name)
        return VERSIONS[name]

    monkeypatch.setattr(provenance.metadata, "version", version)
    return folder


LISTED = {"zoo-acme": "1.0"}
VERSIONS = dict.fromkeys(provenance.PACKAGES, "2.0")


def record(**changes: object) -> dict[str, Any]:
    made = {part: {"plugin": "zoo-acme", "version": "1.0"} for part in PARTS}
    made |= {"zoo": __version__, "packages": {"zoo-acme": "1.0", **provenance.versions()}}
    made |= {"plugins": provenance.plugins(["zoo-acme"])}
    return json.loads(json.dumps(made | changes))


@pytest.mark.usefixtures("package")
def test_nothing_changed_is_no_drift() -> None:
    assert provenance.drift(record(), LISTED) == []


@pytest.mark.parametrize("file", ["__init__.py", "inner/hot.py", "catalog.json"])
def test_an_edited_file_of_the_same_version_is_drift(package: Path, file: str) -> None:
    before = record()
    (package / file).write_text("changed")
    assert provenance.drift(before, LISTED) == [
        "zoo-acme 1.0: its files are not those that the run used"
    ]


def test_a_file_that_came_or_went_is_drift(package: Path) -> None:
    before = record()
    (package / "more.py").write_text("")
    assert provenance.drift(before, LISTED)
    (package / "more.py").unlink()
    assert not provenance.drift(before, LISTED)
    (package / "inner" / "hot.py").unlink()
    assert provenance.drift(before, LISTED)


def test_compiled_files_and_the_place_do_not_count(package: Path, tmp_path: Path) -> None:
    before = provenance.files_hash("zoo_acme_files")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "hot.pyc").write_bytes(b"x")
    assert provenance.files_hash("zoo_acme_files") == before
    package.rename(tmp_path / "elsewhere_zoo")
    assert provenance.files_hash("elsewhere_zoo") == before


@pytest.mark.usefixtures("package")
def test_other_versions_are_told_with_the_line_that_restores_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = record(zoo="0.0.1")
    monkeypatch.setitem(VERSIONS, "torch", "3.0")
    monkeypatch.delitem(VERSIONS, "timm")
    lines = provenance.drift(before, LISTED)
    assert len(lines) == 3
    assert f"zoo-registry was 0.0.1 and is {__version__}" in lines[0]
    assert "timm 2.0 is not installed: uv pip install timm==2.0" in lines
    assert "torch was 2.0 and is 3.0: uv pip install torch==2.0" in lines


def test_the_hash_is_of_contents_by_path(package: Path) -> None:
    before = provenance.files_hash("zoo_acme_files")
    one, other = package / "__init__.py", package / "catalog.json"
    texts = one.read_text(), other.read_text()
    one.write_text(texts[1])
    other.write_text(texts[0])
    assert provenance.files_hash("zoo_acme_files") != before
