"""Group D of the fault matrix, D11: a run outlives the plugin that it was made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo import index

from . import sites
from .sites import ARGUMENTS, TINY, add_tiny, unfinish

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.conftest import Site

    from .conftest import Zoo

alone = pytest.fixture(sites.alone)
zoo = pytest.fixture(sites.zoo)


@pytest.fixture
def begun(zoo: Zoo, alone: Callable[..., Site]) -> Site:
    """A finished run in ./out, made with zoo-tiny 1.0."""
    site = alone()
    add_tiny(site)
    assert zoo("run", "tiny/net+linear+ce", *ARGUMENTS).code == 0
    return site


def change(site: Site, version: str = "", text: str = TINY) -> None:
    """Remove zoo-tiny, and install another version of it if there is one."""
    site.remove("zoo-tiny")
    if version:
        add_tiny(site, version, text)
    index.catalog.cache_clear()


@pytest.mark.parametrize(
    ("version", "words"),
    [
        pytest.param("", "used tiny/net (zoo-tiny 1.0), which is not installed", id="D11-removed"),
        pytest.param(
            "2.0", "tiny/net of zoo-tiny 2.0 is another than the run's (1.0)", id="D11-upgraded"
        ),
    ],
)
def test_a_run_goes_on_with_its_own_plugin_only(
    zoo: Zoo, begun: Site, version: str, words: str
) -> None:
    unfinish(Path("out"))
    change(begun, version)
    before = sorted(path.name for path in Path("out").rglob("*"))
    ended = zoo("resume", "out")
    assert (ended.code, ended.out) == (78, "")
    assert words in ended.err
    assert "zoo-tiny==1.0" in ended.err
    assert sorted(path.name for path in Path("out").rglob("*")) == before
    change(begun, "1.0")
    assert zoo("resume", "out").code == 0


def test_d11_a_model_answers_with_an_upgraded_plugin_and_says_so(zoo: Zoo, begun: Site) -> None:
    before = zoo("predict", "out", "images/ant", "--csv")
    assert before.err == ""
    change(begun, "2.0")
    said = "tiny/net is of zoo-tiny 2.0; the model was made with 1.0"
    after = zoo("predict", "out", "images/ant", "--csv")
    assert (after.code, after.out) == (0, before.out)
    assert after.err.splitlines() == [said]
    ended = zoo("eval", "out", "--data", "images")
    assert ended.code == 0
    assert said in ended.err


@pytest.mark.parametrize(
    ("version", "text", "code", "words"),
    [
        pytest.param("", TINY, 78, "which is not installed", id="D11-removed"),
        pytest.param(
            "2.0", TINY.replace("default=8", "default=16"), 0, "made with 1.0", id="D11-new-default"
        ),
        pytest.param(
            "2.0", TINY.replace('"width"', '"wide"'), 78, "backbone.width is not known",
            id="D11-option-gone",
        ),
        pytest.param(
            "2.0", TINY.replace("tiny_parts:net", "tiny_other:net"), 65, "does not fit",
            id="D11-other-shapes",
        ),
    ],
)  # fmt: skip
def test_a_model_whose_plugin_is_another_answers_right_or_not_at_all(
    zoo: Zoo, begun: Site, *, version: str, text: str, code: int, words: str
) -> None:
    wider = (
        "import tiny_parts\nnet = lambda weights, width: tiny_parts.net(weights, width=2 * width)\n"
    )
    (begun.folder / "tiny_other.py").write_text(wider)
    before = zoo("predict", "out", "images/ant", "--json").out
    change(begun, version, text)
    ended = zoo("predict", "out", "images/ant", "--json")
    assert (ended.code, ended.out) == (code, "" if code else before)
    assert words in ended.err


@pytest.mark.usefixtures("begun")
def test_a_run_is_repeated_with_its_own_plugin_only(zoo: Zoo) -> None:
    first = json.loads(Path("out/summary.json").read_text())
    used = json.loads(Path("out/plan.json").read_text())["plugins"]
    assert set(used) == {"zoo-registry", "zoo-tiny", "zoo-heads", "zoo-losses"}
    assert all(len(one["sha256"]) == 64 for one in used.values())
    again = zoo("run", "--from", "out", "--out", "again", "--json")
    assert again.code == 0
    assert json.loads(again.out)["val"] == first["val"]
    assert json.loads(again.out)["repeats"]["drift"] == []


@pytest.mark.parametrize(
    ("version", "text", "words"),
    [
        ("", TINY, "zoo-tiny 1.0 is not installed"),
        ("2.0", TINY, "zoo-tiny was 1.0 and is 2.0"),
        ("1.0", f"{TINY}# edited\n", "zoo-tiny 1.0: its files are not those that the run used"),
    ],
)
def test_a_plugin_that_drifted_is_refused_with_what_installs_the_runs(
    zoo: Zoo, begun: Site, *, version: str, text: str, words: str
) -> None:
    change(begun, version, text)
    ended = zoo("run", "--from", "out", "--out", "again")
    assert (ended.code, ended.out) == (78, "")
    assert words in ended.err
    assert "zoo-tiny==1.0" in ended.err
    assert not Path("again").exists()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_drift_that_is_accepted_is_reported_wherever_the_figure_is(
    zoo: Zoo, begun: Site, version: str
) -> None:
    text = TINY.replace('"tiny_parts:net"', '"tiny_more:net"')
    (begun.folder / "tiny_more.py").write_text("from tiny_parts import net as net\n")
    change(begun, version, text)
    ended = zoo("run", "--from", "out", "--out", "again", "--accept-drift")
    assert ended.code == 0, ended.err
    assert "with what is told below" in ended.out
    assert "drift: zoo-tiny" in ended.out
    for name in ("plan.json", "summary.json"):
        (told,) = json.loads(Path("again", name).read_text())["repeats"]["drift"]
        assert told.startswith("zoo-tiny")
    assert "drift: zoo-tiny" in Path("again/report.html").read_text()
    used = json.loads(Path("again/plan.json").read_text())["backbone"]
    assert (used["version"], used["component"]["target"]) == (version, "tiny_more:net")


def test_a_plugin_that_is_gone_cannot_be_accepted(zoo: Zoo, begun: Site) -> None:
    change(begun)
    ended = zoo("run", "--from", "out", "--out", "again", "--accept-drift")
    assert ended.code != 0
    assert "net" in ended.err
    assert not Path("again").exists()
