from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from itertools import chain, combinations
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.plugins.conftest import Site
from zoo import scaffold
from zoo.components import KINDS
from zoo.errors import CannotCreate, StorageFault, UsageError
from zoo.plugins.loader import offers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.components import Kind

ROOT = Path(__file__).parents[1]
#: every choice of kinds that a package can be written for
CHOICES: list[tuple[Kind, ...]] = [
    *chain.from_iterable(combinations(KINDS, count) for count in (1, 2, 3))
]


def written(folder: Path, *kinds: Kind) -> Path:
    """A package `zoo-acme` with components of these kinds."""
    scaffold.write(scaffold.package("acme", kinds or KINDS), folder / "zoo-acme")
    return folder / "zoo-acme"


def installed(package: Path, site: Path) -> Site:
    """The package in a site folder, without pip: what lies in `src` is what is installed."""
    flat = site.with_name("flat")
    shutil.copytree(package / "src", flat)
    shutil.copy(package / "pyproject.toml", flat)
    site.mkdir()
    found = Site(site)
    found.install(flat)
    return found


@pytest.mark.parametrize("kinds", CHOICES, ids="+".join)
def test_what_is_written_lists_a_component_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[Kind, ...]
) -> None:
    site = installed(written(tmp_path, *kinds), tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    monkeypatch.syspath_prepend(site.folder)
    (offer,) = offers(site.path)
    assert offer.problem is None
    assert [kind for kind in KINDS if offer.components[kind]] == [*kinds]


def test_its_own_tests_pass_from_the_folder_that_it_is_installed_from(tmp_path: Path) -> None:
    package = written(tmp_path, "head")  # the guide's test runs those of all three kinds
    site = installed(package, tmp_path / "site")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        check=False,
        capture_output=True,
        text=True,
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(site.folder)},
    )
    assert told.returncode == 0, told.stdout
    assert "skipped" not in told.stdout


def test_what_is_written_needs_no_formatting_and_breaks_no_rule(tmp_path: Path) -> None:
    package = written(tmp_path)
    alone = ("--isolated", "--no-cache", "--line-length", "100")
    for words in (("format", "--check"), ("check", *RULES)):
        told = subprocess.run(
            ["ruff", *words, *alone], check=False, capture_output=True, text=True, cwd=package
        )
        assert told.returncode == 0, told.stdout


#: as zoo's own code: Google's docstrings, but in the words of this project, and none in tests
RULES = (
    *("--select", "E,F,I,UP,B,ANN,D,PT,RUF,SIM,TC", "--ignore", "D401,RUF002"),
    *("--config", 'lint.pydocstyle.convention = "google"'),
    *("--config", 'lint.per-file-ignores = {"tests/*" = ["D"]}'),
)


def test_a_single_kind_leaves_nothing_of_the_others(tmp_path: Path) -> None:
    package = written(tmp_path, "head")
    text = "".join(file.read_text() for file in package.rglob("*") if file.is_file())
    assert not [word for word in ("convnet", "focal", "zoo_losses") if word in text.lower()]
    assert not Template(text).get_identifiers()


def test_its_requirements_are_those_of_this_zoo(tmp_path: Path) -> None:
    project = tomllib.loads((written(tmp_path) / "pyproject.toml").read_text())["project"]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    host, torch = project["dependencies"]
    assert own["version"].startswith(host.removeprefix("zoo-registry>="))
    assert torch in own["dependencies"]
    assert project["requires-python"] == own["requires-python"]
    assert project["entry-points"] == {"zoo": {"acme": "zoo_acme"}}


def test_its_workflow_tests_both_ends_of_its_requirements_and_publishes_without_a_password(
    tmp_path: Path,
) -> None:
    text = (written(tmp_path) / ".github/workflows/test.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["resolution"] == ["lowest-direct", "highest"]
    steps = [step.get("run", "") for step in jobs["test"]["steps"]]
    assert any("--resolution ${{ matrix.resolution }}" in step for step in steps)
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets" not in text


@pytest.mark.parametrize("name", ["acme", "zoo-acme"])
def test_a_namespace_and_a_distribution_name_the_same_package(name: str) -> None:
    found = scaffold.package(name, ["head"])
    assert (found.distribution, found.namespace, found.module) == ("zoo-acme", "acme", "zoo_acme")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Acme", "acme"),
        ("acme_vision", "acme-vision"),
        ("zoo-", "acme"),
        ("1up", "up"),
        ("a--b", "a-b"),
        ("acme-", "acme"),
        ("../acme", "acme"),
        ("", "acme"),
        ("ächme", "chme"),
        ("acme\n", "acme"),
    ],
)
def test_a_name_that_no_namespace_may_have_is_refused_with_one_that_it_may(
    name: str, near: str
) -> None:
    with pytest.raises(UsageError) as caught:
        scaffold.package(name, ["head"])
    assert caught.value.hint == f"Try: zoo plugins new {near} --kind head"
    scaffold.package(near, ["head"])


@pytest.mark.parametrize(
    ("name", "taken"),
    [("timm", ()), ("zoo-heads", ()), ("registry", ()), ("acme", ["zoo-acme"]), ("acme", ["acme"])],
)
def test_a_name_that_somebody_has_is_refused(name: str, taken: Sequence[str]) -> None:
    with pytest.raises(UsageError):
        scaffold.package(name, ["head"], taken)


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "zoo-acme").mkdir()
    (tmp_path / "zoo-acme" / "mine").touch()
    with pytest.raises(CannotCreate):
        written(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["zoo-acme", "mine"]


def test_what_is_no_folder_is_left_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "zoo-acme"
    place.touch()
    with pytest.raises(CannotCreate):
        written(tmp_path)
    place.unlink()
    place.symlink_to("nowhere")
    with pytest.raises(CannotCreate):
        written(tmp_path)
    assert not place.exists()


def test_an_empty_folder_is_filled_and_stays_the_one_that_it_was(tmp_path: Path) -> None:
    (tmp_path / "zoo-acme").mkdir()
    before = (tmp_path / "zoo-acme").stat().st_ino
    assert written(tmp_path).stat().st_ino == before


def test_a_disk_that_is_full_leaves_no_half_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(StorageFault):
        written(tmp_path)
    assert not [*tmp_path.iterdir()]
