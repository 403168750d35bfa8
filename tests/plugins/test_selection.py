"""Plugins that the user leaves out: not imported, shown as disabled, had again by a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli import shelves
from tests.plugins.conftest import MUSEUM
from zoo import config, index, observers
from zoo.cli import main
from zoo.cli import progress as progress  # noqa: PLC0414 - its libraries, before they are hidden
from zoo.errors import PluginFault, Unavailable
from zoo.plugins import children, selection
from zoo.plugins.loader import offers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shelves import Shelf

shelf = pytest.fixture(shelves.shelf)

#: says that it was imported
pytestmark = pytest.mark.usefixtures("no_strangers_finders")

MODULE = """
import pathlib
import zoo

with open(pathlib.Path(__file__).with_name("imported"), "a") as stream:
    print(__name__, file=stream)



@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="{name}", target="x:build", needs=("logits",))


@zoo.hookimpl
def zoo_run_end(event):
    pass
"""


class Told:
    """The command line in this process, as a new one would be."""

    def __init__(self, shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = shelf.folder
        self._capsys = capsys

    def __call__(self, line: str) -> tuple[object, str, str]:
        index.catalog.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main(line.split())
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err, err
        return ended.value.code, out, err

    def statuses(self, line: str = "") -> dict[str, str]:
        """Plugin → status, as `zoo plugins` has it, with the options of `line`."""
        _, out, _ = self(f"plugins --json {line}")
        return {one["distribution"]: one["status"] for one in json.loads(out)}

    @property
    def imported(self) -> list[str]:
        """The plugins that were imported by now."""
        mark = self.folder / "imported"
        return sorted(set(mark.read_text().split())) if mark.exists() else []


@pytest.fixture
def zoo(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> Told:
    """Two plugins: zoo-acme with the entry point `nets`, and bolt with `bolt`; no others."""
    shelf.alone()
    shelf.add("zoo-acme", "1.0", {"nets": "acme_zoo"}, {"acme_zoo.py": MODULE.format(name="one")})
    shelf.add("bolt", "2.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": MODULE.format(name="two")})
    return Told(shelf, capsys)


ONLY_BOLT = {"zoo-acme": "disabled", "bolt": "ok"}


@pytest.mark.parametrize("name", ["zoo-acme", "acme", "nets", "zoo_acme", "Zoo.Acme"])
@pytest.mark.parametrize("line", ["-p no:{} plugins --json", "plugins --json -p no:{}"])
def test_a_switched_off_plugin_is_not_imported(zoo: Told, name: str, line: str) -> None:
    _, out, _ = zoo(line.format(name))
    assert {one["distribution"]: one["status"] for one in json.loads(out)} == ONLY_BOLT
    assert zoo.imported == ["bolt_zoo"]


@pytest.mark.parametrize("line", ["--no-plugins list", "list --no-plugins", "--no-plugins plugins"])
def test_without_plugins_none_is_imported(zoo: Told, line: str) -> None:
    assert zoo(line)[0] == 0
    assert zoo.imported == []
    assert "acme/one" not in zoo("--no-plugins list")[1]


@pytest.mark.parametrize(
    ("value", "imported"),
    [
        ("", []),
        ("bolt", ["bolt_zoo"]),
        (" nets , ", ["acme_zoo"]),
        ("zoo_acme", ["acme_zoo"]),
        ("acme,bolt", ["acme_zoo", "bolt_zoo"]),
    ],
)
def test_the_environment_names_the_only_ones(
    zoo: Told, monkeypatch: pytest.MonkeyPatch, value: str, imported: list[str]
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", value)
    assert zoo("list")[0] == 0
    assert zoo.imported == imported


@pytest.fixture
def rivals(zoo: Told, shelf: Shelf) -> Told:
    """Besides: zoo-nets, whose entry point is `bolt`.

    So `nets` is its namespace and the entry point of zoo-acme, and `bolt` a distribution and its
    entry point.
    """
    shelf.add("zoo-nets", "1.0", {"bolt": "nets_zoo"}, {"nets_zoo.py": MODULE.format(name="three")})
    return zoo


@pytest.mark.parametrize(
    ("name", "meant"),
    [("bolt", "bolt"), ("nets", "zoo-nets"), ("acme", "zoo-acme"), ("zoo-nets", "zoo-nets")],
)
def test_a_name_means_a_distribution_else_a_namespace_else_an_entry_point(
    rivals: Told, monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    def those(status: str, line: str = "") -> list[str]:
        return [one for one, other in rivals.statuses(line).items() if other == status]

    assert those("disabled", f"-p no:{name}") == [meant]
    rivals(f"plugins disable {name}")
    assert those("disabled") == [meant]
    rivals(f"plugins enable {name}")
    monkeypatch.setenv("ZOO_PLUGINS", name)
    assert those("ok") == [meant]


def test_disabling_lasts_until_it_is_enabled(zoo: Told) -> None:
    code, _, err = zoo("plugins disable nets")
    assert code == 0
    assert "to have it again: zoo plugins enable zoo-acme" in err
    assert config.names("disabled") == ("zoo-acme",)
    assert zoo.statuses() == ONLY_BOLT
    assert zoo.imported == ["bolt_zoo"]
    assert "was disabled before" in zoo("plugins disable zoo-acme")[2]
    assert config.names("disabled") == ("zoo-acme",)
    assert zoo("plugins enable acme")[0] == 0
    assert zoo.statuses() == {"zoo-acme": "ok", "bolt": "ok"}


def test_what_the_user_prefers_stays_beside_what_is_disabled(zoo: Told) -> None:
    zoo("prefer acme/one")
    zoo("plugins disable bolt")
    assert (config.names("prefer"), config.names("disabled")) == (("acme/one",), ("bolt",))


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("plugins disable acm", 69, "There is: zoo-acme"),
        ("plugins enable bolt", 2, "None is disabled."),
        ("list -p acme", 2, "-p no:NAME"),
        ("list -p no:", 2, "-p no:NAME"),
    ],
)
def test_a_wrong_name_is_answered_with_what_there_is(
    zoo: Told, line: str, code: int, words: str
) -> None:
    ended, _, err = zoo(line)
    assert ended == code
    assert words in err
    assert config.names("disabled") == ()


def test_a_plugin_that_is_gone_can_be_enabled(zoo: Told, shelf: Shelf) -> None:
    zoo("plugins disable bolt")
    shelf.remove("bolt")
    assert zoo("plugins enable bolt")[0] == 0
    assert config.names("disabled") == ()


def test_enabling_says_what_disables_it_all_the_same(
    zoo: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo("plugins disable bolt")
    monkeypatch.setenv("ZOO_PLUGINS", "acme")
    assert "disabled by ZOO_PLUGINS all the same. Name bolt in" in zoo("plugins enable bolt")[2]


@pytest.mark.parametrize(
    ("options", "variable", "by", "undo"),
    [
        ("--no-plugins", None, "--no-plugins", "Leave out --no-plugins."),
        ("-p no:nets", None, "-p no:nets", "Leave out -p no:nets."),
        ("", "bolt", "ZOO_PLUGINS", "Name zoo-acme in ZOO_PLUGINS, or unset it."),
        ("disabled", None, "config.toml", "zoo plugins enable zoo-acme"),
    ],
)
def test_asking_for_its_component_says_by_what_it_is_disabled_and_what_to_type(
    zoo: Told,
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    variable: str | None,
    by: str,
    undo: str,
) -> None:
    if variable:
        monkeypatch.setenv("ZOO_PLUGINS", variable)
    if options == "disabled":
        zoo("plugins disable acme")
        options = ""
    for command in ("why acme/one", "show acme/one", "prefer acme/one", "run acme/recipe --data x"):
        code, out, err = zoo(f"{options} {command}")
        assert (code, out) == (69, ""), command
        assert f"zoo-acme 1.0 is disabled by {by}." in err
        assert undo in err
    assert f"zoo-acme 1.0 is disabled by {by}. " in zoo(f"{options} plugins")[1]
    assert "acme_zoo" not in zoo.imported


def test_a_bare_name_that_nobody_has_names_what_was_not_looked_at(zoo: Told) -> None:
    _, _, err = zoo("why nobody+nobody+one -p no:acme")
    assert "Not looked at: zoo-acme 1.0 is disabled by -p no:acme (Leave out -p no:acme)." in err


@pytest.mark.usefixtures("zoo")
def test_an_observer_of_a_disabled_plugin_is_refused() -> None:
    assert observers.select(["bolt"], print)
    with (
        selection.said(without=("bolt",)),
        pytest.raises(Unavailable, match=r"bolt 2\.0 is disabled by -p no:bolt"),
    ):
        observers.select(["bolt"], print)


def test_zoos_own_plugins_can_be_disabled_likewise(
    zoo: Told, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add("zoo-losses", "1.0", {"losses": "own"}, {"own.py": MODULE.format(name="ce")})
    assert "losses/ce" in zoo("why ce")[1]
    (shelf.folder / "imported").unlink()
    monkeypatch.setenv("ZOO_CACHE", str(shelf.folder.with_name("another")))
    code, _, err = zoo("why ce -p no:losses")
    assert code == 69
    assert "ce is losses/ce, and zoo-losses 1.0 is disabled by -p no:losses." in err
    assert "own" not in zoo.imported


def test_of_two_rivals_the_one_that_is_left_works(zoo: Told, shelf: Shelf) -> None:
    shelf.add("zoo-bolt", "3.0", {"b": "other_zoo"}, {"other_zoo.py": MODULE.format(name="three")})
    _, _, err = zoo("list")
    assert "type: zoo plugins disable zoo-bolt" in err
    zoo("plugins disable zoo-bolt")
    code, out, err = zoo("list")
    assert (code, err.count("quarantined")) == (0, 0)
    assert "bolt/two" in out
    assert "other_zoo" not in zoo.imported


def test_a_name_of_no_plugin_is_told(zoo: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "bolt,bold")
    for _ in range(3):  # the last is a kept answer
        _, _, err = zoo("list -p no:acm")
        assert "-p no:acm: no installed plugin is called acm. There is: bolt, zoo-acme." in err
        assert "ZOO_PLUGINS: no installed plugin is called bold. There is: bolt, zoo-acme." in err


@pytest.mark.parametrize("command", ["run one+one+one --data x", "run one+one+one --dry-run"])
def test_a_run_tells_a_name_of_no_plugin_too(zoo: Told, command: str) -> None:
    _, _, err = zoo(f"{command} -p no:acm")
    assert "-p no:acm: no installed plugin is called acm. There is: bolt, zoo-acme." in err


# --- the kept list ---


def test_a_kept_list_heeds_all_that_selects(
    zoo: Told, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "acme/one" in shelf.keep()[1]
    for options in ("-p no:acme", "--no-plugins"):
        assert "acme/one" not in shelf.list(options)[1]
        assert "acme/one" not in shelf.keep(options)[1]
        assert shelf.kept(options) == shelf.made(options)
        assert "acme/one" in shelf.kept()[1]
    with monkeypatch.context() as patch:
        patch.setenv("ZOO_PLUGINS", "bolt")
        assert "acme/one" not in shelf.keep()[1]
    zoo("plugins disable acme")
    assert "acme/one" not in shelf.list()[1]
    assert "acme/one" not in shelf.keep()[1]
    zoo("plugins enable acme")
    assert "acme/one" in shelf.list()[1]


def test_a_file_that_disables_by_hand_is_heeded_at_once(shelf: Shelf, zoo: Told) -> None:
    del zoo
    shelf.keep()
    config.file().write_text('disabled = ["Zoo_Acme"]\n')
    assert "acme/one" not in shelf.list()[1]


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize("text", ["disabled = 5", 'disabled = "bolt"', 'disabled = ["a/b"]'])
def test_a_wrong_file_is_named_with_its_line(shelf: Shelf, text: str) -> None:
    config.file().write_text(f"\n{text}\n")
    code, _, err = shelf.list()
    assert code == 2
    assert "config.toml:2" in err


# --- strict ---


@pytest.mark.parametrize(
    "line",
    ["--strict-plugins list", "list --strict-plugins", "plugins --strict-plugins", "why one"],
)
def test_in_strict_mode_a_quarantined_plugin_is_an_error(
    zoo: Told, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    if "--strict-plugins" not in line:
        monkeypatch.setenv("ZOO_STRICT_PLUGINS", "1")
    shelf.install(MUSEUM / "raises")
    shelf.install(MUSEUM / "sys_exit")
    zoo("list")  # now it is remembered
    code, _, err = zoo(line)
    assert code == 70
    assert "raises 0.3 is quarantined: RuntimeError: no losses today (to remove it: " in err
    assert "sys-exit 0.3 is quarantined" in err


def test_strict_mode_heeds_what_is_disabled_and_passes_where_all_is_well(
    zoo: Told, shelf: Shelf
) -> None:
    assert zoo("--strict-plugins list")[0] == 0
    shelf.install(MUSEUM / "raises")
    assert zoo("--strict-plugins list")[0] == 70
    assert zoo("--strict-plugins list -p no:raises")[0] == 0
    zoo("plugins disable raises")
    assert zoo("--strict-plugins list")[0] == 0


def test_a_kept_list_is_none_in_strict_mode(zoo: Told, shelf: Shelf) -> None:
    shelf.install(MUSEUM / "raises")
    shelf.keep()
    assert zoo("list --strict-plugins")[0] == 70


@pytest.mark.usefixtures("zoo")
def test_strict_mode_holds_in_python(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.install(MUSEUM / "raises")
    monkeypatch.setenv("ZOO_STRICT_PLUGINS", "yes")
    index.catalog.cache_clear()
    with pytest.raises(PluginFault, match="raises"):
        index.catalog()


# --- the options ---


def test_what_a_command_line_says_ends_with_it(zoo: Told) -> None:
    zoo("-p no:acme --strict-plugins list -p no:bolt")
    assert selection.current() == selection.Selection()


@pytest.mark.usefixtures("zoo")
def test_a_disabled_plugin_gets_no_process(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    child = children._Child  # noqa: SLF001 - its starts are counted

    def counted(source: object, folder: Path) -> object:
        begun.append(source.module)  # type: ignore[attr-defined]
        return child(source, folder)  # type: ignore[arg-type]

    monkeypatch.setattr(children, "_Child", counted)
    with selection.said(without=("acme",)):
        offers(shelf.path)
    assert begun == ["bolt_zoo"]
