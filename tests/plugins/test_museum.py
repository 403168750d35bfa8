from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoo.index import assemble
from zoo.plugins.loader import offers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugins.conftest import Site
    from zoo.plugins.loader import Offer, Problem

#: folder → part of the reason that is given; empty for what must work
FAULTS = {
    "healthy": "",
    "prints": "",
    "thread": "",
    "slow": "listing it imports tensorflow",
    "import_error": "ModuleNotFoundError: No module named 'a_library_that_nobody_has'",
    "syntax_error": "SyntaxError: invalid syntax",
    "raises": "RuntimeError: no losses today",
    "raises_midway": "RuntimeError: only one today",
    "sys_exit": "SystemExit: 3",
    "os_exit": "it ended the process with exit code 4",
    "crashes": "it crashed the process (SIGSEGV)",
    "hook_typo": "there is no hook 'zoo_backbone' (did you mean zoo_backbones?)",
    "hook_argument": "context",
    "no_hook": "is @zoo.hookimpl missing?",
    "returns_none": "zoo_losses gave None, not an iterable",
    "returns_names": "'focal' is not a zoo.Component",
    "bad_target": "has the target 'build', which is not 'module:attribute'",
    "two_defaults": "has 2 default weights tags, not one",
    "lists": "does not survive a JSON round trip in provides, needs",
    "twin": "twin and zoo-twin both claim the namespace 'twin'",
    "zoo_twin": "twin and zoo-twin both claim the namespace 'twin'",
    "impostor": "timm claims the namespace 'timm', which belongs to zoo-timm",
    "stale": "ModuleNotFoundError: No module named 'stale'",
    "newer_api": "it requires zoo-registry>=99, and this is zoo-registry ",
}
#: what is fine to list, and fails when a run uses it (tests/faults/test_plugins.py)
FAULTY_IN_USE = {
    *("needs_newer", "missing_target", "no_builder", "hot_exit", "not_a_module", "build_raises"),
    *("nan_loss", "vector_loss", "wide_head", "cpu_head", "map_backbone", "meddles"),
}
FAULTS |= dict.fromkeys(FAULTY_IN_USE, "")
LISTED = {"healthy", "prints", "thread", "slow", *FAULTY_IN_USE}


@pytest.fixture(scope="module")
def offered(
    tmp_path_factory: pytest.TempPathFactory, museum: Path, make_site: type[Site]
) -> dict[str, Offer]:
    """What becomes of all of them when all are installed at once."""
    site = make_site(tmp_path_factory.mktemp("site"))
    (site.folder / "tensorflow.py").write_text('"""A stand-in."""\n')
    for folder in FAULTS:
        site.install(museum / folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site.folder)
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {offer.source.module: offer for offer in offers(site.path)}


def problem(offer: Offer) -> Problem:
    assert offer.problem is not None
    return offer.problem


def test_every_exhibit_is_in_the_table(museum: Path) -> None:
    folders = {folder.name for folder in museum.iterdir() if (folder / "pyproject.toml").exists()}
    assert folders == {*FAULTS, "hangs"}


@pytest.mark.parametrize("folder", FAULTS)
def test_the_fault_is_named(offered: dict[str, Offer], folder: str) -> None:
    offer = offered[folder]
    assert bool(FAULTS[folder]) == bool(offer.problem)
    assert offer.problem is None or FAULTS[folder] in offer.problem.reason


@pytest.mark.parametrize("folder", FAULTS)
def test_a_faulty_plugin_lists_nothing_and_the_others_everything(
    offered: dict[str, Offer], folder: str
) -> None:
    names = [one.name for found in offered[folder].components.values() for one in found]
    assert names == ([folder] if folder in LISTED else [])


def test_a_problem_reads_as_one_line_that_names_distribution_and_version(
    offered: dict[str, Offer],
) -> None:
    assert str(offered["sys_exit"].problem) == (
        "sys-exit 0.3 is quarantined: SystemExit: 3 "
        "(to remove it: uv pip uninstall sys-exit; zoo plugins shows more)"
    )


def test_the_detail_holds_the_traceback(offered: dict[str, Offer]) -> None:
    assert 'raise RuntimeError("no losses today")' in problem(offered["raises"]).detail


def test_a_heavy_import_is_told_but_the_plugin_stays(offered: dict[str, Offer]) -> None:
    assert offered["slow"].heavy == ("tensorflow",)
    assert not problem(offered["slow"]).quarantined


def test_the_catalog_holds_what_works_with_its_owner(offered: dict[str, Offer]) -> None:
    catalog = assemble(offered.values())
    assert {one.full_name for one in catalog.listed} == {
        f"{name.replace('_', '-')}/{name}" for name in LISTED
    }
    healthy = catalog.get("healthy/healthy", "loss")
    assert healthy is not None
    assert healthy.owner == "healthy 0.3"
    assert len(catalog.problems) == len([fault for fault in FAULTS.values() if fault])
