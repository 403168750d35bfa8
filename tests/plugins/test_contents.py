from __future__ import annotations

import hashlib
import json
import subprocess
from importlib.metadata import Distribution, distribution
from typing import TYPE_CHECKING

import pytest

from zoo.plugins import contents, editable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugins.conftest import Site

FILES = {"zoo_acme/__init__.py": "", "zoo_acme/net.py": "x = 1\n", "zoo_acme/data.json": "{}"}
MANIFEST = "".join(
    f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(FILES.items())
)


@pytest.fixture
def acme(site: Site) -> Distribution:
    info = site.add("zoo-acme", "1.0", {"acme": "zoo_acme"}, FILES, requires=["pluggy", "no-such"])
    (info / "INSTALLER").write_text("pip")
    with (info / "RECORD").open("a") as record:
        record.write("zoo_acme-1.0.dist-info/INSTALLER,,\n../../../bin/acme,,\n")
        record.write("zoo_acme/__pycache__/net.cpython-311.pyc,,\n")
    return distribution("zoo-acme")


def test_the_hash_is_that_of_what_sha256sum_prints(acme: Distribution, site: Site) -> None:
    assert contents.sha256(acme) == hashlib.sha256(MANIFEST.encode()).hexdigest()
    printed = subprocess.run(
        ["sha256sum", *sorted(FILES)], cwd=site.folder, check=True, capture_output=True, text=True
    )
    assert printed.stdout == MANIFEST


@pytest.mark.parametrize("change", ["edited", "gone"])
def test_a_file_that_was_edited_or_is_gone_changes_the_hash(
    acme: Distribution, site: Site, change: str
) -> None:
    before = contents.sha256(acme)
    file = site.folder / "zoo_acme/net.py"
    if change == "edited":
        file.write_text("x = 2\n")
    else:
        file.unlink()
    assert contents.sha256(acme) != before


def test_what_python_and_the_installer_write_does_not(acme: Distribution, site: Site) -> None:
    before = contents.sha256(acme)
    cached = site.folder / "zoo_acme/__pycache__"
    cached.mkdir()
    (cached / "net.cpython-311.pyc").write_bytes(b"code")
    (site.folder / "zoo_acme-1.0.dist-info/INSTALLER").write_text("uv")
    assert contents.sha256(acme) == before


def test_a_checkout_is_hashed_as_the_wheel_that_is_made_of_it(
    acme: Distribution, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = contents.sha256(acme)
    source = tmp_path / "checkout"
    (site.folder / "zoo_acme").rename(source.parent / "kept")
    source.mkdir()
    (tmp_path / "kept").rename(source / "zoo_acme")
    (source / "zoo_acme/.net.py.swp").write_text("an editor's")
    monkeypatch.syspath_prepend(source)
    info = site.folder / "zoo_acme-1.0.dist-info"
    address = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(address))
    (info / "RECORD").write_text("__editable__.zoo_acme.pth,,\n")
    worked_on = distribution("zoo-acme")
    assert contents.sha256(worked_on) == wheel
    (source / "zoo_acme/net.py").write_text("x = 2\n")
    assert contents.sha256(worked_on) != wheel


def test_every_package_of_a_checkout_is_hashed_and_its_tests_are_not(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot = {"zoo_pair_hot/__init__.py": "x = 1\n", "zoo_pair_more.py": "y = 1\n"}
    files = {"zoo_pair/__init__.py": "", **hot}
    info = site.add("zoo-pair", "1.0", {"pair": "zoo_pair"}, files)
    wheel = contents.sha256(distribution("zoo-pair"))
    source = tmp_path / "checkout"
    for name, text in {**files, "tests/__init__.py": "", "conftest.py": "", "setup.py": ""}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
        (site.folder / name).unlink(missing_ok=True)
    for name in ("zoo_pair", "zoo_pair_hot"):
        (site.folder / name).rmdir()
    monkeypatch.syspath_prepend(source)
    address = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(address))
    (info / "RECORD").write_text("__editable__.zoo_pair.pth,,\n")
    worked_on = distribution("zoo-pair")
    assert contents.sha256(worked_on) == wheel
    (source / "tests/__init__.py").write_text("changed = 1\n")
    assert contents.sha256(worked_on) == wheel
    seen = {wheel}
    for name in hot:
        (source / name).write_text("z = 2\n")
        seen.add(contents.sha256(worked_on))
    assert len(seen) == 3


def edit(file: Path) -> None:
    file.write_text(file.read_text() + "edited = True\n")


def two_packages(site: Site, source: Path, pointers: dict[str, str], *more: str) -> Distribution:
    """zoo-two, editable, whose second package no entry point names."""
    for name in ("zoo_two/__init__.py", "two_core/__init__.py", "two_core/net.py", *more):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("")
    info = site.add("zoo-two", "1.0", {"two": "zoo_two"}, pointers)
    address = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(address))
    return distribution("zoo-two")


def test_every_package_of_a_folder_that_is_worked_on_is_hashed(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "checkout"
    beside = (
        "tests/__init__.py",
        "setup.py",
        "docs/conf.py",
        "notes/a.txt",
        "two-words/__init__.py",
    )
    told = {"_two.pth": f"import os\n\n{source}\n"}
    two = two_packages(site, source, told, "two_single.py", *beside)
    before = contents.sha256(two)
    wheel = {"zoo_two/__init__.py", "two_core/__init__.py", "two_core/net.py", "two_single.py"}
    empty = hashlib.sha256(b"").hexdigest()
    lines = "".join(f"{empty}  {name}\n" for name in sorted(wheel))
    assert before == hashlib.sha256(lines.encode()).hexdigest(), "as of the wheel"
    for name in beside:
        edit(source / name)
        assert contents.sha256(two) == before
    for name in sorted(wheel):
        edit(source / name)
        assert contents.sha256(two) != before
        before = contents.sha256(two)


def test_the_table_of_setuptools_finder_names_the_packages(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "checkout"
    more = ("single.py", "deep/space/__init__.py")
    table = {
        "zoo_two": "zoo_two",
        "two_core": "two_core",
        "single": "single",
        "deep.space": "deep/space",
    }
    mapping = {name: str(source / path) for name, path in table.items()}
    code = f"import never_imported\nMAPPING: dict[str, str] = {mapping!r}\nNAMESPACES = {{}}\n"
    finder = {"__editable___zoo_two_1_0_finder.py": code}
    two = two_packages(site, source, finder, *more)
    assert {*editable.packages(two)} == set(table)
    before = contents.sha256(two)
    for name in ("zoo_two/__init__.py", "two_core/net.py", *more):
        edit(source / name)
        assert contents.sha256(two) != before
        before = contents.sha256(two)


def test_what_setuptools_left_in_a_checkout_names_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("zoo_old", "old_core", "unrelated"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    info = tmp_path / "zoo_old.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: zoo-old\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo]\nold = zoo_old\n")
    (info / "top_level.txt").write_text("old_core\nzoo_old\n")
    monkeypatch.syspath_prepend(tmp_path)
    old = distribution("zoo-old")
    before = contents.sha256(old)
    edit(tmp_path / "unrelated/__init__.py")
    assert contents.sha256(old) == before
    edit(tmp_path / "old_core/__init__.py")
    assert contents.sha256(old) != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_two.pth", "/no/such/folder\n# a comment\n"),
        ("__editable___two_finder.py", "MAPPING: dict[str, str] = ("),
        ("__editable___two_finder.py", "MAPPING: dict[str, str] = {**stolen()}"),
        ("__editable___two_finder.py", "MAPPING = [1]\n"),
        ("__editable___two_finder.py", "MAPPING = {'two_core': 1}\n"),
    ],
)
def test_where_a_pointer_leads_nowhere_what_lies_beside_the_entry_point_counts(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    source = tmp_path / "checkout"
    two = two_packages(site, source, {name: text})
    monkeypatch.syspath_prepend(source)
    assert editable.packages(two) == {name: source / name for name in ("two_core", "zoo_two")}


def test_a_distribution_without_files_has_no_hash(site: Site) -> None:
    info = site.add("zoo-empty", "1.0", {"empty": "zoo_empty"}, {})
    assert contents.sha256(distribution("zoo-empty")) == ""
    (info / "RECORD").unlink()
    assert contents.sha256(distribution("zoo-empty")) == ""


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        ("", "zoo-acme==1.0"),
        ("{", "zoo-acme==1.0"),
        ('{"no": "url"}', "zoo-acme==1.0"),
        (
            '{"url": "file:///home/me/acme", "dir_info": {"editable": true}}',
            "zoo-acme @ file:///home/me/acme",
        ),
        (
            '{"url": "https://x.example/a.whl", "archive_info": {"hash": "sha256=ab"}}',
            "zoo-acme @ https://x.example/a.whl",
        ),
        (
            (
                '{"url": "https://me:secret@x.example/a", "subdirectory": "py", "vcs_info": '
                '{"vcs": "git", "commit_id": "abc", "requested_revision": "main"}}'
            ),
            "zoo-acme @ git+https://x.example/a@abc#subdirectory=py",
        ),
        (
            '{"url": "ssh://git@x.example/a", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "zoo-acme @ git+ssh://git@x.example/a@abc",
        ),
        ('{"url": "https://token@x.example/a.whl"}', "zoo-acme @ https://x.example/a.whl"),
        ('{"url": "https://me:p@ss@x.example/a@1"}', "zoo-acme @ https://x.example/a@1"),
        ('{"url": "file:///home/me@x/acme"}', "zoo-acme @ file:///home/me@x/acme"),
    ],
)
def test_what_installs_it_again_is_a_requirement(
    acme: Distribution, site: Site, origin: str, wanted: str
) -> None:
    (site.folder / "zoo_acme-1.0.dist-info/direct_url.json").write_text(origin)
    assert contents.requirement(acme) == wanted


def test_libraries_are_what_is_required_and_installed(acme: Distribution) -> None:
    assert contents.libraries(acme) == {"pluggy": distribution("pluggy").version}
