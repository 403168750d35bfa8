"""Entries that plugins ship: whose they are, what they may change, and what a faulty file costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo import registry
from zoo.errors import UnknownName

if TYPE_CHECKING:
    from zoo.registry import Registry

HEAD = "schema = 1\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an empty configuration folder beside it."""
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds a package, importing which would fail."""
    folder = tmp_path / "site" / "acme_zoo"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(folder.parent)
    return folder


def test_a_plugins_entries_stand_under_its_namespace(package: Path) -> None:
    (package / "acme.toml").write_text(
        HEAD + '[entries.a]\nspec = "a+b+c"\n[entries.b]\nextends = "a"\n'
        '[entries.c]\nextends = "demo"\n'
    )
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml")])
    assert merged.entry("acme/b").spec == "a+b+c"
    assert merged.entry("acme/c").spec == merged.entry("demo").spec
    assert merged.entry("acme/a").origin == "acme_zoo:acme.toml:3"


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "schema = 2\n",
        HEAD + "[defaults]\nseed = 1\n",
        HEAD + '[entries.a]\nextends = "b"\n',
        HEAD + "[entries.demo]\nlr = 1\n",
    ],
)
def test_a_plugins_faulty_file_costs_only_itself(package: Path, text: str) -> None:
    (package / "acme.toml").write_text(text)
    (package / "good.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml"), ("good", "acme_zoo:good.toml")])
    assert "good/a" in merged.entries
    assert len(merged.problems) == 1
    assert "acme" in merged.problems[0]


def test_a_plugins_missing_file_costs_only_itself() -> None:
    merged = registry.load(shipped=[("acme", "no_such_package:x.toml"), ("b", "zoo:x.toml")])
    assert len(merged.problems) == 2
    assert "demo" in merged.entries


def loaded(text: str) -> Registry:
    Path("registry.toml").write_text(HEAD + text)
    return registry.load(None)


def left_out(merged: Registry, name: str) -> str:
    with pytest.raises(UnknownName, match="left out") as caught:
        merged.entry(name)
    return caught.value.message


def test_a_plugins_entry_says_whose_it_is(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\nsummary = "A."\n')
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nextends = "acme/a"\nlr = 0.5\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml", "zoo-acme", "1.2")])
    ours, mine = merged.entry("acme/a"), merged.entry("mine")
    assert (ours.owner, ours.plugin, ours.version) == ("zoo-acme 1.2", "zoo-acme", "1.2")
    assert (mine.owner, mine.spec, mine.settings["lr"].value) == ("", "a+b+c", 0.5)
    assert merged.entry("demo").owner == ""


@pytest.mark.parametrize("theirs", ["demo", "mine", "other/a", "acme/demo"])
def test_a_plugin_changes_no_entry_but_its_own(package: Path, theirs: str) -> None:
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nspec = "m+b+c"\n')
    (package / "other.toml").write_text(HEAD + '[entries.a]\nspec = "o+b+c"\n')
    (package / "acme.toml").write_text(HEAD + f'[entries."{theirs}"]\nspec = "x+y+z"\nlr = 9\n')
    other = ("other", "acme_zoo:other.toml")
    before = registry.load(shipped=[other]).entries
    for order in ([other, ("acme", "acme_zoo:acme.toml")], [("acme", "acme_zoo:acme.toml"), other]):
        after = registry.load(shipped=order)
        assert {name: after.entries[name] for name in before} == before
        assert after.entries.keys() - before.keys() <= {f"acme/{theirs}"}


@pytest.mark.parametrize("base", ["mine", "other/a", "acme/nothing"])
def test_a_plugin_extends_its_own_and_built_in_entries_only(package: Path, base: str) -> None:
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nspec = "m+b+c"\n')
    (package / "other.toml").write_text(HEAD + '[entries.a]\nspec = "o+b+c"\n')
    (package / "acme.toml").write_text(HEAD + f'[entries.x]\nextends = "{base}"\n')
    merged = registry.load(
        shipped=[("other", "acme_zoo:other.toml"), ("acme", "acme_zoo:acme.toml")]
    )
    assert f"acme_zoo:acme.toml:3: extends {base!r} is no entry" in left_out(merged, "acme/x")
    assert {"mine", "other/a", "demo"} <= merged.entries.keys()


def test_no_file_of_the_users_changes_what_a_plugins_entry_means(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + '[entries.x]\nextends = "demo"\nlr = 0.5\n')
    shipped = [("acme", "acme_zoo:acme.toml")]
    before = registry.load(shipped=shipped).entry("acme/x")
    for text in (
        "[entries.demo]\nepochs = 99\n",
        '[entries.demo]\nspec = "x+y+z"\n',
        '[entries.demo]\nextends = "acme/x"\n',  # else a circle
    ):
        Path("registry.toml").write_text(HEAD + text)
        assert registry.load(shipped=shipped).entry("acme/x") == before


def test_a_plugins_files_extend_each_other_in_their_order(package: Path) -> None:
    (package / "one.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\nlr = 0.5\n')
    (package / "two.toml").write_text(HEAD + '[entries.b]\nextends = "a"\nepochs = 2\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:one.toml"), ("acme", "acme_zoo:two.toml")])
    assert {key: one.value for key, one in merged.entry("acme/b").settings.items()} == {
        "lr": 0.5,
        "epochs": 2,
    }
    assert merged.problems == ()


def test_the_same_entry_twice_costs_the_later_file(package: Path) -> None:
    (package / "one.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\n')
    (package / "two.toml").write_text(HEAD + '[entries.a]\nspec = "x+y+z"\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:one.toml"), ("acme", "acme_zoo:two.toml")])
    assert merged.entry("acme/a").spec == "a+b+c"
    assert "another file of the plugin has the entry acme/a as well" in merged.problems[0]


def test_requirements_go_along_with_what_is_extended(package: Path) -> None:
    (package / "acme.toml").write_text(
        HEAD + '[entries.a]\nspec = "a+b+c"\nrequires_plugins = ["zoo-x>=1", "zoo-y"]\n'
        '[entries.b]\nextends = "a"\n'
    )
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nextends = "acme/b"\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml")])
    assert merged.entry("mine").requires == ("zoo-x>=1", "zoo-y")


def test_an_entry_of_a_file_that_is_left_out_is_missed_with_the_files_fault(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + '[entries.x]\nspec = "a+b+c"\nlrr = 1\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml")])
    assert "acme_zoo:acme.toml:4: lrr is not known" in left_out(merged, "acme/x")


@pytest.mark.parametrize("fault", ["the file is faulty", "the plugin is gone"])
def test_what_extends_a_plugins_entry_that_is_not_there_is_left_out_alone(
    package: Path, fault: str
) -> None:
    (package / "acme.toml").write_text("no toml")
    Path("registry.toml").write_text(
        HEAD + '[entries.mine]\nextends = "acme/x"\n[entries.far]\nextends = "mine"\n'
        '[entries.fine]\nspec = "a+b+c"\n'
    )
    shipped = [("acme", "acme_zoo:acme.toml")] if fault == "the file is faulty" else []
    merged = registry.load(shipped=shipped)
    assert "registry.toml:3: extends 'acme/x' is no entry" in left_out(merged, "mine")
    assert "registry.toml:3" in left_out(merged, "far")
    assert {"fine", "demo"} <= merged.entries.keys()
    assert any("extends 'acme/x'" in one for one in merged.problems)


CIRCLE = (
    '[entries.a]\nextends = "b"\n[entries.b]\nextends = "c"\n[entries.c]\nextends = "a"\n'
    '[entries.into]\nextends = "b"\n'
    '[entries.self]\nextends = "self"\n'
    '[entries.fine]\nspec = "a+b+c"\nlr = 0.5\n'
)


def test_a_circle_of_the_users_costs_its_entries_alone_and_is_named() -> None:
    merged = loaded(CIRCLE)
    assert merged.entry("fine").settings["lr"].value == 0.5
    assert {"demo", "fine"} <= merged.entries.keys()
    for name in ("a", "b", "c", "into"):
        told = left_out(merged, name)
        assert "registry.toml:3: extends goes in a circle: a > b > c > a" in told
    assert "registry.toml:11: extends goes in a circle: self > self" in left_out(merged, "self")
    assert len(merged.problems) == 2


def test_a_circle_of_a_plugins_costs_its_entries_alone_and_is_named(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + CIRCLE)
    Path("registry.toml").write_text(
        HEAD + '[entries.mine]\nextends = "acme/a"\n[entries.ours]\nextends = "acme/fine"\n'
    )
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml", "zoo-acme", "1.2")])
    assert merged.entry("acme/fine").owner == "zoo-acme 1.2"
    assert merged.entry("ours").spec == "a+b+c"
    circle = "acme_zoo:acme.toml:3: extends goes in a circle: acme/a > acme/b > acme/c > acme/a"
    for name in ("acme/a", "acme/b", "acme/c", "acme/into"):
        assert circle in left_out(merged, name)
    assert "extends 'acme/a' is no entry" in left_out(merged, "mine")
    assert circle in merged.problems


def test_a_circle_through_a_built_in_entry_is_one_too() -> None:
    merged = loaded('[entries.demo]\nextends = "x"\n[entries.x]\nextends = "demo"\n')
    assert "goes in a circle: demo > x > demo" in left_out(merged, "demo")
    assert "offline" in merged.entries
