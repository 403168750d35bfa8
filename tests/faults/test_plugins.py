"""Group D of the fault matrix: plugins that fail, by way of the museum of broken packages.

D8 and D9 (a trust prompt, a lock of plugin hashes) are not there: zoo never installs a plugin, and
runs those that somebody installed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
import warnings
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import torch

from tests.plugins.conftest import MUSEUM, Site
from zoo import __version__, index
from zoo.cli import doctor
from zoo.cli.plugins import table
from zoo.plugins.loader import offers

from . import sites
from .sites import ARGUMENTS, add_tiny, unfinish, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo.plugins.loader import Offer

    from .conftest import Zoo

alone = pytest.fixture(sites.alone)
zoo = pytest.fixture(sites.zoo)


class Exhibit(NamedTuple):
    """A faulty package: what a run that names it says of it, and with which exit code."""

    folder: str
    kind: str
    code: int
    words: str

    @property
    def distribution(self) -> str:
        return self.folder.replace("_", "-")

    @property
    def full_name(self) -> str:
        return f"{self.distribution}/{self.folder}"

    @property
    def spec(self) -> str:
        parts = {"backbone": "tiny/net", "head": "linear", "loss": "ce", self.kind: self.full_name}
        return "+".join(parts[kind] for kind in ("backbone", "head", "loss"))


QUARANTINED = {
    "D1-raises": Exhibit("raises", "loss", 69, "RuntimeError: no losses today"),
    "D1-raises-midway": Exhibit("raises_midway", "loss", 69, "RuntimeError: only one today"),
    "D1-syntax": Exhibit("syntax_error", "loss", 69, "SyntaxError"),
    "D1-import": Exhibit("import_error", "loss", 69, "a_library_that_nobody_has"),
    "D1-sys-exit": Exhibit("sys_exit", "loss", 69, "SystemExit: 3"),
    "D1-os-exit": Exhibit("os_exit", "loss", 69, "ended the process with exit code 4"),
    "D1-segfault": Exhibit("crashes", "loss", 69, "SIGSEGV"),
    "D3-stale-entry-point": Exhibit("stale", "loss", 69, "No module named 'stale'"),
    "D4-hook-typo": Exhibit("hook_typo", "loss", 69, "did you mean zoo_backbones?"),
    "D4-hook-argument": Exhibit("hook_argument", "loss", 69, "context"),
    "D4-no-hook": Exhibit("no_hook", "loss", 69, "is @zoo.hookimpl missing?"),
    "D4-returns-none": Exhibit("returns_none", "loss", 69, "zoo_losses gave None"),
    "D4-returns-names": Exhibit("returns_names", "loss", 69, "'focal' is not a zoo.Component"),
    "D4-bad-target": Exhibit("bad_target", "loss", 69, "which is not 'module:attribute'"),
    "D4-two-defaults": Exhibit("two_defaults", "backbone", 69, "2 default weights tags"),
    "D4-lists": Exhibit("lists", "loss", 69, "JSON round trip"),
    "D4-twin": Exhibit("twin", "loss", 69, "both claim the namespace 'twin'"),
    "D6-newer-api": Exhibit(
        "newer_api",
        "loss",
        69,
        f"requires zoo-registry>=99, and this is zoo-registry {__version__}",
    ),
}
FAULTY_IN_USE = {
    "D1-hot-half-exits": Exhibit("hot_exit", "loss", 70, "SystemExit: 0"),
    "D1-prints": Exhibit("prints", "loss", 70, "No module named 'prints_build'"),
    "D4-missing-target": Exhibit(
        "missing_target", "loss", 70, "No module named 'missing_target_hot'"
    ),
    "D4-no-builder": Exhibit("no_builder", "loss", 70, "has no attribute 'build'"),
    "D4-build-raises": Exhibit("build_raises", "head", 70, "RuntimeError: no head today"),
    "D4-not-a-module": Exhibit("not_a_module", "loss", 70, "not a torch.nn.Module"),
    "D4-nan-loss": Exhibit("nan_loss", "loss", 70, "nan that are not finite"),
    "D4-vector-loss": Exhibit("vector_loss", "loss", 70, "a dict of scalar tensors"),
    "D4-wide-head": Exhibit("wide_head", "head", 70, "gives logits (4, 4) instead of (4, 3)"),
    "D4-cpu-head": Exhibit("cpu_head", "head", 70, "gives logits on cpu"),
    "D4-map-backbone": Exhibit("map_backbone", "backbone", 70, "not [N, D]"),
    "D6-needs-newer": Exhibit("needs_newer", "loss", 69, "requires pluggy>=99, and pluggy is 1"),
}


@pytest.fixture(scope="module")
def museum(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Site, Callable[[], tuple[Offer, ...]]]:
    """The whole museum installed at once, with one plugin that works; surveyed once."""
    site = Site(tmp_path_factory.mktemp("museum"))
    for folder in MUSEUM.iterdir():
        if folder.name not in {"hangs", "slow"} and (folder / "pyproject.toml").exists():
            site.install(folder)
    add_tiny(site)
    return site, cache(offers)


@pytest.fixture
def faulty(
    museum: tuple[Site, Callable[[], tuple[Offer, ...]]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """All of the museum is installed."""
    site, surveyed = museum
    use(monkeypatch, site)
    for room in (index, table, doctor):
        monkeypatch.setattr(room, "offers", surveyed)
    yield
    index.catalog.cache_clear()


# each fault


@pytest.mark.parametrize(
    "exhibit",
    [pytest.param(one, id=row) for row, one in (QUARANTINED | FAULTY_IN_USE).items()],
)
@pytest.mark.usefixtures("faulty")
def test_a_run_with_a_faulty_plugin_names_it_and_leaves_nothing(zoo: Zoo, exhibit: Exhibit) -> None:
    ended = zoo("run", exhibit.spec, *ARGUMENTS)
    assert (ended.code, ended.out) == (exhibit.code, "")
    assert f"{exhibit.distribution} 0.3" in ended.err
    assert exhibit.words in ended.err
    assert len(ended.err.splitlines()) >= 2  # what happened, and what to do
    assert not Path("out").exists()


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("command", ["plugins", "doctor"])
def test_d1_plugins_and_doctor_name_every_culprit_with_its_version(zoo: Zoo, command: str) -> None:
    ended = zoo(command)
    assert ended.code == (70 if command == "doctor" else 0)  # something is wrong, and it says so
    for exhibit in QUARANTINED.values():
        told = [line for line in ended.out.splitlines() if f"{exhibit.distribution} 0.3" in line]
        assert any(exhibit.words in line for line in told), exhibit
    assert "timm claims the namespace 'timm', which belongs to zoo-timm" in ended.out


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("command", ["list", "list --json", "show resnet18", "why resnet18"])
def test_d1_the_catalogs_commands_work_and_tell_each_quarantine_in_a_line(
    zoo: Zoo, command: str
) -> None:
    ended = zoo(*command.split())
    assert ended.code == 0
    told = [line for line in ended.err.splitlines() if "is quarantined" in line]
    assert len(told) == len(QUARANTINED) + 2  # zoo_twin and impostor
    assert all(" 0.3 is quarantined: " in line for line in told)
    if command == "list --json":
        found = {f"{one['namespace']}/{one['name']}" for one in json.loads(ended.out)}
        assert {"tiny/net", "healthy/healthy", "torchvision/resnet18", "heads/linear"} <= found
        assert not found & {one.full_name for one in QUARANTINED.values()}


@pytest.mark.usefixtures("faulty")
def test_d1_every_command_works_beside_all_of_them(zoo: Zoo) -> None:
    assert zoo("prefer", "--list").code == 0
    assert zoo("run", "tiny/net+linear+cekl", *ARGUMENTS, "--dry-run").code == 0
    done = zoo("run", "tiny/net+linear+cekl", *ARGUMENTS)
    assert done.code == 0
    assert zoo("show", "out").code == 0
    assert zoo("predict", "out", "images/ant").code == 0
    told = zoo("eval", "out", "--data", "images", "--json")
    assert told.code == 0
    summary = json.loads(Path("out/summary.json").read_text())
    assert json.loads(told.out)["top1"] == summary["val"]["top1"]
    unfinish(Path("out"))
    assert zoo("resume", "out").code == 0
    again = json.loads(Path("out/summary.json").read_text())
    assert again["val"] == summary["val"]


# time


def test_d2_a_plugin_that_hangs_costs_its_time_limit_and_no_command(
    zoo: Zoo, alone: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo("list", "--kind", "loss")  # so that those of the environment are in the cache
    alone("hangs")
    impatient = partial(offers, limit=1.0)
    monkeypatch.setattr(index, "offers", impatient)
    monkeypatch.setattr(table, "offers", impatient)
    began = time.monotonic()
    ended = zoo("list", "--kind", "loss")
    assert time.monotonic() - began < 30
    assert ended.code == 0
    assert "losses/ce" in ended.out
    reason = "hangs 0.3 is quarantined: it took more than 1 s to be imported and asked"
    assert reason in ended.err
    assert reason in zoo("plugins").out


def test_d2_a_plugin_that_is_slow_to_list_is_told_and_used(
    zoo: Zoo, alone: Callable[..., Site]
) -> None:
    site = alone()
    (site.folder / "tensorflow.py").write_text('"""A stand-in."""\n')
    site.install(MUSEUM / "slow")
    assert "slow/slow" in zoo("list", "--kind", "loss").out
    assert "slow 0.3 is slow: listing it imports tensorflow" in zoo("plugins").out


# two of one


def test_d5_of_a_distribution_that_is_there_twice_the_first_counts_and_both_are_told(
    zoo: Zoo, alone: Callable[..., Site]
) -> None:
    later = alone("healthy")
    metadata = later.folder / "healthy-0.3.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("0.3", "0.2"))
    first = alone("healthy")
    (listed,) = (one for one in json.loads(zoo("list", "--json").out) if one["plugin"] == "healthy")
    assert listed["version"] == "0.3"
    told = zoo("plugins").out
    assert (
        "healthy 0.3 is doubled: it is installed twice; 0.3 counts, and not 0.2 in "
        f"{later.folder}" in told
    )
    assert str(first.folder) not in told
    assert "healthy 0.3" in zoo("doctor").out


@pytest.mark.usefixtures("alone")
def test_d5_a_folder_that_is_on_the_path_twice_is_no_second_installation(
    zoo: Zoo, alone: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = alone("healthy")
    (tmp_path / "link").symlink_to(site.folder)
    monkeypatch.syspath_prepend(tmp_path / "link")
    index.catalog.cache_clear()
    (told,) = (
        one for one in json.loads(zoo("plugins", "--json").out) if one["distribution"] == "healthy"
    )
    assert (told["status"], told["problem"]) == ("ok", None)


# what it does to the process


@pytest.mark.usefixtures("faulty")
def test_d7_what_a_plugin_changes_of_the_process_is_put_back(zoo: Zoo) -> None:
    def after(loss: str, out: str) -> list[object]:
        arguments = [out if one == "out" else one for one in ARGUMENTS]
        return surroundings_after(zoo, "run", f"tiny/net+linear+{loss}", *arguments)

    after("ce", "first")  # imports what a run imports, and that may draw as well
    assert after("meddles/meddles", "meddled") == after("ce", "plain")
    for one, other in zip(epochs(Path("meddled")), epochs(Path("plain")), strict=True):
        assert one == pytest.approx(other, rel=1e-5)  # the same loss, summed in another order


def surroundings_after(zoo: Zoo, *arguments: str) -> list[object]:
    """What a command leaves of the process's global state, which was the same before."""
    torch.manual_seed(17)
    np.random.seed(17)  # noqa: NPY002 - the global state is what is looked at
    random.seed(17)
    assert zoo(*arguments).code == 0
    return [
        Path.cwd(),
        [*warnings.filters],
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        torch.get_rng_state().tolist(),
        np.random.random(),  # noqa: NPY002 - as above
        random.getstate(),
    ]


def epochs(folder: Path) -> Iterator[list[float]]:
    """What metrics.jsonl says, less times."""
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        yield [record["epoch"], record["step"], record["top1"], record["lr"], record["terms"]["ce"]]


def test_d10_a_plugin_that_is_listed_learns_no_password_of_the_environment(
    zoo: Zoo, alone: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = (
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "OPENAI_API_KEY",
        "MY_CREDENTIALS",
    )
    for name in secrets:
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("HARMLESS", "shown")
    seen = "sorted(k for k, v in os.environ.items() if v in {'hidden', 'shown'})"
    spy = f"import os\nraise RuntimeError({seen})\n"
    alone().add("spy", "1.0", {"spy": "zoo_spy"}, {"zoo_spy.py": spy})
    ended = zoo("list", "--kind", "loss")
    assert "spy 1.0 is quarantined: RuntimeError: ['HARMLESS'] " in ended.err
    assert os.environ["HF_TOKEN"] == "hidden"  # noqa: S105 - a word


def test_every_exhibit_is_used_here() -> None:
    used = {one.folder for one in (QUARANTINED | FAULTY_IN_USE).values()}
    others = {"healthy", "thread", "hangs", "slow", "meddles", "impostor", "zoo_twin"}
    assert {one.name for one in MUSEUM.iterdir() if one.is_dir()} - {"__pycache__"} == used | others
