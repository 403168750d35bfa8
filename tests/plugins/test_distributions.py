from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from zoo.plugins.distributions import normalised, sources

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugins.conftest import Site


ENTRY = {"acme": "acme_zoo"}
MODULE = {"acme_zoo.py": ""}


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("zoo-acme", "acme"),
        ("acme-zoo", "acme-zoo"),
        ("Zoo_Acme.Nets", "acme-nets"),
        ("acme", "acme"),
    ],
)
def test_the_namespace_is_the_distributions_name_less_a_leading_zoo(
    site: Site, name: str, namespace: str
) -> None:
    site.add(name, "1.0", ENTRY, MODULE)
    (found,) = sources(site.path)
    assert (found.distribution, found.namespace) == (normalised(name), namespace)
    assert not found.refused


def test_distributions_without_the_entry_point_are_no_plugins(site: Site) -> None:
    info = site.add("acme", "1.0", ENTRY, MODULE)
    (info / "entry_points.txt").write_text("[console_scripts]\nacme = acme:main\n")
    assert sources(site.path) == ()


def test_of_two_copies_the_first_on_the_path_counts(
    site: Site, make_site: type[Site], tmp_path: Path
) -> None:
    later = make_site(tmp_path / "later")
    later.folder.mkdir()
    site.add("acme", "2.0", ENTRY, MODULE)
    later.add("acme", "1.0", ENTRY, MODULE)
    (found,) = sources([*site.path, *later.path])
    assert found.version == "2.0"


def test_a_copy_that_is_no_plugin_hides_a_later_one_that_is(
    site: Site, make_site: type[Site], tmp_path: Path
) -> None:
    later = make_site(tmp_path / "later")
    later.folder.mkdir()
    (site.add("acme", "2.0", ENTRY, MODULE) / "entry_points.txt").unlink()
    later.add("acme", "1.0", ENTRY, MODULE)
    assert sources([*site.path, *later.path]) == ()


def test_the_order_is_that_of_the_names(site: Site) -> None:
    for name in ("c", "a", "b"):
        site.add(name, "1.0", {name: "acme_zoo"}, MODULE)
    assert [one.distribution for one in sources(site.path)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "entries", "reason"),
    [
        ("3d-nets", ENTRY, "namespace '3d-nets' is not of the form"),
        ("acme", {"a": "acme_zoo", "b": "other"}, "2 entry points"),
        ("acme", {"a": "acme_zoo:plugin"}, "not the name of a module"),
        ("timm", ENTRY, "belongs to zoo-timm"),
        ("losses", ENTRY, "belongs to zoo-losses"),
    ],
)
def test_what_the_metadata_says_against_a_plugin(
    site: Site, name: str, entries: dict[str, str], reason: str
) -> None:
    site.add(name, "1.0", entries, MODULE)
    assert reason in sources(site.path)[0].refused


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("entry_points.txt", b"[zoo]\nacme = \xff\n"),
        ("METADATA", b""),
        ("METADATA", b"\xff\xfe"),
    ],
)
def test_a_half_removed_distribution_is_no_plugin_and_harms_no_other(
    site: Site, file: str, data: bytes
) -> None:
    (site.add("acme", "1.0", ENTRY, MODULE) / file).write_bytes(data)
    site.add("bolt", "1.0", ENTRY, MODULE)
    assert [one.distribution for one in sources(site.path)] == ["bolt"]


def test_a_name_that_is_not_its_folders_is_no_plugin_and_harms_no_other(site: Site) -> None:
    info = site.add("acme", "1.0", ENTRY, MODULE)
    site.add("bolt", "1.0", ENTRY, MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    assert [one.distribution for one in sources(site.path)] == ["bolt"]


@pytest.mark.parametrize("text", ["[zoo]\nacme_zoo\n", "[zoo]\n"])
def test_entry_points_that_cannot_be_read_are_a_reason(site: Site, text: str) -> None:
    (site.add("acme", "1.0", ENTRY, MODULE) / "entry_points.txt").write_text(text)
    site.add("bolt", "1.0", ENTRY, MODULE)
    acme, bolt = sources(site.path)
    assert acme.refused.startswith("its metadata cannot be read: ")
    assert not bolt.refused


def test_an_impostor_does_not_harm_the_owner(site: Site) -> None:
    site.add("timm", "1.0", ENTRY, MODULE)
    site.add("zoo-timm", "1.0", ENTRY, MODULE)
    assert [bool(one.refused) for one in sources(site.path)] == [True, False]


def test_rivals_for_a_namespace_are_all_refused_and_both_named(site: Site) -> None:
    site.add("acme", "1.0", ENTRY, MODULE)
    site.add("zoo-acme", "1.0", ENTRY, MODULE)
    for source in sources(site.path):
        assert "acme and zoo-acme both claim" in source.refused


def fingerprint(site: Site) -> str:
    return sources(site.path)[0].fingerprint


def test_the_fingerprint_is_stable_and_follows_the_record(site: Site) -> None:
    info = site.add("acme", "1.0", ENTRY, MODULE)
    before = fingerprint(site)
    assert fingerprint(site) == before
    (info / "RECORD").write_text("acme_zoo.py,sha256=other,1\n")
    assert fingerprint(site) != before


def test_the_fingerprint_follows_the_versions_of_requirements(site: Site) -> None:
    site.add("acme", "1.0", ENTRY, MODULE, requires=["some-library>=1; python_version>'3'"])
    missing = fingerprint(site)
    library = site.add("some-library", "1.0", {}, {})
    old = fingerprint(site)
    metadata = library / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    assert len({missing, old, fingerprint(site)}) == 3


@pytest.mark.parametrize("editable", [True, False])
def test_the_fingerprint_follows_the_files_where_the_record_cannot(
    site: Site, *, editable: bool
) -> None:
    info = site.add("acme", "1.0", ENTRY, MODULE)
    if editable:
        origin = {"url": "file:///src", "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(origin))
    else:
        (info / "RECORD").unlink()
    before = fingerprint(site)
    os.utime(site.folder / "acme_zoo.py", (1, 1))
    assert fingerprint(site) != before


def test_an_ordinary_install_is_not_searched_for_changed_files(site: Site) -> None:
    site.add("acme", "1.0", ENTRY, MODULE)
    before = fingerprint(site)
    os.utime(site.folder / "acme_zoo.py", (1, 1))
    assert fingerprint(site) == before
