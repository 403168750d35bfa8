"""What a run stands on, and what of it is another now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.plugins.conftest import Site
from zoo import provenance
from zoo.provenance import Drift, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.plan import Plan

HOST = "zoo-registry"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """zoo-tiny 1.0, which requires acmelib 2.0, and zoo-watch, which observes."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    site = Site(tmp_path / "site")
    tiny(site)
    site.add("acmelib", "2.0", {}, {"acmelib.py": ""})
    site.add("zoo-watch", "3.0", {"watch": "zoo_watch"}, {"zoo_watch.py": ""})
    return site


def tiny(site: Site, version: str = "1.0", text: str = "") -> None:
    needs = ["acmelib>=1", "no-such-library", "acmelib-extra; extra == 'more'", "zoo-registry"]
    site.add("zoo-tiny", version, {"tiny": "zoo_tiny"}, {"zoo_tiny.py": text}, requires=needs)


@pytest.fixture
def stood_on(site: Site, planned: Callable[..., Plan]) -> Provenance:
    """What was written, and read again."""
    del site
    found = provenance.of(planned(), ["watch/journal"])
    back = provenance.from_json(json.loads(json.dumps(found.to_json())))
    assert back == found
    return back


def test_a_run_stands_on_zoo_its_plugins_their_libraries_and_its_observers(
    stood_on: Provenance,
) -> None:
    versions = {name: one.version for name, one in stood_on.used.items()}
    assert versions["zoo-tiny"] == "1.0"
    assert versions["zoo-watch"] == "3.0"
    assert set(versions) == {HOST, "zoo-tiny", "zoo-heads", "zoo-losses", "zoo-watch"}
    assert all(len(one.sha256) == 64 for one in stood_on.used.values())
    assert stood_on.used["zoo-tiny"].libraries == ("acmelib",)
    assert stood_on.used["zoo-tiny"].requirement == "zoo-tiny==1.0"
    assert stood_on.packages["acmelib"] == "2.0"
    assert {"torch", "torchvision", "timm", "numpy", "pillow"} <= stood_on.packages.keys()
    assert stood_on.files == {}


def replaced(site: Site, name: str) -> None:
    site.remove(name)
    if name == "zoo-tiny":
        tiny(site, "2.0")
    else:
        site.add(name, "2.1", {}, {})


def edited(site: Site, file: str) -> None:
    (site.folder / file).write_text("edited = True")


@pytest.mark.parametrize(
    ("change", "what", "drift"),
    [
        (Site.remove, "zoo-watch", []),
        (replaced, "acmelib", [Drift("acmelib was 2.0 and is 2.1", "acmelib==2.0")]),
        (Site.remove, "acmelib", [Drift("acmelib 2.0 is not installed", "acmelib==2.0")]),
        (replaced, "zoo-tiny", [Drift("zoo-tiny was 1.0 and is 2.0", "zoo-tiny==1.0")]),
        (Site.remove, "zoo-tiny", [Drift("zoo-tiny 1.0 is not installed", "zoo-tiny==1.0")]),
        (
            edited,
            "zoo_tiny.py",
            [
                Drift(
                    "zoo-tiny 1.0: its files are not those that the run used; "
                    "they were those of zoo-tiny==1.0"
                )
            ],
        ),
    ],
)
def test_what_decides_numbers_and_is_another_is_drift(
    site: Site,
    stood_on: Provenance,
    planned: Callable[..., Plan],
    *,
    change: Callable[[Site, str], object],
    what: str,
    drift: list[Drift],
) -> None:
    assert provenance.drift(stood_on, planned()) == []
    change(site, what)
    assert provenance.drift(stood_on, planned()) == drift


def test_another_zoo_is_drift(
    stood_on: Provenance, planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "__version__", "9.9")
    (drift,) = provenance.drift(stood_on, planned())
    assert drift.told == "zoo-registry was 0.1.0 and is 9.9"
    assert drift.wanted == "zoo-registry==0.1.0"


def test_one_line_brings_back_what_an_installer_can() -> None:
    drifts = [Drift("a", "zoo-tiny==1.0"), Drift("b"), Drift("c", "x @ https://x.example/x y.whl")]
    line = provenance.install_line(drifts)
    assert line.endswith("zoo-tiny==1.0 'x @ https://x.example/x y.whl'")
    assert provenance.install_line([Drift("b")]) == ""


def test_only_what_decides_numbers_of_a_device_counts() -> None:
    before = {"title": "CPU", "precision": "fp32", "threads": 2, "memory": 1, "reasons": ["a"]}
    assert provenance.device_drift(before, {**before, "memory": 2, "reasons": []}) == []
    (drift,) = provenance.device_drift(before, {**before, "threads": 8})
    assert drift == Drift("device: its threads was 2 and is 8")
