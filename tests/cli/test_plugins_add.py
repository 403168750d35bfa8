"""`zoo plugins add` and `remove`, with a program in the place of uv that does what it is told."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli import shelves
from tests.cli.shelves import LOSS, Shelf
from zoo import config, installer
from zoo.cli.plugins import add, remove

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Zoo

shelf = pytest.fixture(shelves.shelf)

#: moves what it is told to install from the store into the site, and back
UV = """#!{python}
import pathlib, sys
site, store = pathlib.Path({site!r}), pathlib.Path({store!r})
print("told", *sys.argv[1:])
if {says!r}:
    print({says!r}, file=sys.stderr)
    sys.exit(2)
for name in sys.argv[3:]:
    if sys.argv[2] == "install":
        for one in (store / name).iterdir():
            one.rename(site / one.name)
    else:
        stem = name.replace("-", "_")
        for one in (*site.glob(stem + "-*"), *site.glob(stem.removeprefix("zoo_") + "_*")):
            one.rename(store / name / one.name)
"""


def by_uv(distribution: str = "") -> installer.Installer:
    """As in an active environment that uv made."""
    del distribution
    return installer.Installer("uv")


class Desk:
    """A site, a store of what can be installed, and the program in between."""

    def __init__(self, shelf: Shelf, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.site = shelf
        self._programs = tmp_path / "programs"
        self._store = tmp_path / "store"
        for folder in (self._programs, self._store):
            folder.mkdir()
        patch.setenv("PATH", str(self._programs), prepend=os.pathsep)
        self.says("")

    def says(self, words: str) -> None:
        """Let the program fail with these words, or do what it is told."""
        text = UV.format(
            python=sys.executable, site=str(self.site.folder), store=str(self._store), says=words
        )
        program = self._programs / "uv"
        program.write_text(text)
        program.chmod(0o755)

    def offer(self, name: str, loss: str, module: str = "") -> None:
        """Put a package into the store."""
        place = self._store / name
        place.mkdir()
        stem = name.removeprefix("zoo-")
        type(self.site).add(
            _At(place),
            name,
            "1.0",
            {stem: f"{stem}_zoo"},
            {f"{stem}_zoo.py": module or LOSS.format(name=loss)},
        )


class _At(Shelf):
    """A folder to write a package into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@pytest.fixture
def desk(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    shelf.alone()
    for room in (add, remove):
        monkeypatch.setattr(room.installer, "in_use", by_uv)
    return Desk(shelf, tmp_path, monkeypatch)


def test_what_is_added_appears_with_what_it_brings(desk: Desk, zoo: Zoo) -> None:
    desk.offer("zoo-acme", "one")
    code, out, err = zoo("plugins", "add", "zoo-acme")
    assert (code, out) == (0, "zoo-acme 1.0 brings acme/one\n")
    assert err.splitlines()[:2] == ["$ uv pip install zoo-acme", "told pip install zoo-acme"]


def test_a_dry_run_prints_the_command_and_does_nothing(desk: Desk, zoo: Zoo) -> None:
    desk.offer("zoo-acme", "one")
    assert zoo("plugins", "add", "zoo-acme>=1", "./x", "--dry-run") == (
        0,
        "uv pip install 'zoo-acme>=1' ./x\n",
        "",
    )
    zoo("plugins", "add", "zoo-acme")
    assert zoo("plugins", "remove", "acme", "--dry-run")[1] == "uv pip uninstall zoo-acme\n"
    assert len(json.loads(zoo("plugins", "--json")[1])) == 1


def test_what_is_removed_is_gone_and_what_prefers_it_is_told(desk: Desk, zoo: Zoo) -> None:
    desk.offer("zoo-acme", "one")
    zoo("plugins", "add", "zoo-acme")
    config.write_names("prefer", ["acme/one"])
    code, out, err = zoo("plugins", "remove", "acme")
    assert (code, out) == (0, "zoo-acme is gone.\n")
    assert "$ uv pip uninstall zoo-acme" in err
    assert "to forget that: zoo prefer --remove acme/one" in err
    assert json.loads(zoo("plugins", "--json")[1]) == []


def test_a_newcomers_shared_names_are_told_with_both_owners_and_the_line(
    desk: Desk, zoo: Zoo
) -> None:
    desk.offer("zoo-losses", "ce")
    desk.offer("zoo-acme", "ce")
    zoo("plugins", "add", "zoo-losses")
    _, _, err = zoo("plugins", "add", "zoo-acme")
    assert (
        "acme/ce (zoo-acme 1.0): ce goes on to mean losses/ce (zoo-losses 1.0); "
        "to change that: zoo prefer acme/ce" in err
    )
    assert "ce goes on to mean losses/ce" in zoo("plugins")[1]


def test_the_first_command_that_sees_a_newcomer_tells_its_shared_names_once(desk: Desk) -> None:
    for name in ("zoo-losses", "zoo-acme"):
        desk.site.add(
            name, "1.0", {"x": f"{name[4:]}_zoo"}, {f"{name[4:]}_zoo.py": LOSS.format(name="ce")}
        )
    told = [desk.site.list()[2].count("to change that: zoo prefer acme/ce") for _ in range(3)]
    assert told == [1, 0, 0]


def test_a_plugin_that_is_broken_is_installed_named_and_an_error(desk: Desk, zoo: Zoo) -> None:
    desk.offer("zoo-acme", "", module="raise RuntimeError('not today')\n")
    code, out, err = zoo("plugins", "add", "zoo-acme")
    assert (code, out) == (70, "")
    assert "RuntimeError: not today (to remove it: uv pip uninstall zoo-acme" in err


def test_what_is_no_plugin_is_said_to_be_none(desk: Desk, zoo: Zoo) -> None:
    desk.offer("zoo-acme", "one")
    zoo("plugins", "add", "zoo-acme")
    desk.offer("other", "two")
    (
        desk.site.folder.with_name("store") / "other" / "other-1.0.dist-info" / "entry_points.txt"
    ).unlink()
    code, out, err = zoo("plugins", "add", "other")
    assert (code, out) == (0, "")
    assert "Nothing new appeared: other was here before, or is no plugin of zoo." in err


@pytest.mark.parametrize(
    "words",
    [
        "error: Failed to fetch: `https://x/simple/zoo-acme/`",
        "  Caused by: error sending request for url",
        "NewConnectionError: Temporary failure in name resolution",
        "error: Network connectivity is disabled, but the requested data was not found",
    ],
)
def test_offline_is_said_to_be_offline(desk: Desk, zoo: Zoo, words: str) -> None:
    desk.says(words)
    code, out, err = zoo("plugins", "add", "zoo-acme")
    assert (code, out) == (69, "")
    assert words in err
    assert "this machine seems to be offline" in err


@pytest.mark.skipif(not shutil.which("uv"), reason="there is no uv on the PATH")
def test_uv_itself_without_a_network_is_understood(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setattr(add, "offers", tuple)
    monkeypatch.setattr(add.installer, "in_use", by_uv)
    code, _, err = zoo("plugins", "add", "zoo-a-name-that-nobody-took")
    assert code == 69
    assert "this machine seems to be offline" in err


def test_another_failure_shows_the_installers_own_words(desk: Desk, zoo: Zoo) -> None:
    desk.says("no version of zoo-acme")
    code, _, err = zoo("plugins", "add", "zoo-acme")
    assert code == 69
    assert "no version of zoo-acme\n" in err
    assert "uv ended with exit code 2" in err


@pytest.mark.usefixtures("desk")
def test_without_the_program_the_line_is_given(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = zoo("plugins", "add", "zoo-acme")
    assert code == 69
    assert "There is no program uv on the PATH." in err
    assert "uv pip install zoo-acme" in err


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("add -- --index-url", 2, "--index-url is no plugin"),
        ("remove acme", 69, "No installed plugin is called 'acme'."),
        ("add", 2, "NAME"),
    ],
)
def test_what_cannot_be_meant_reaches_no_installer(
    zoo: Zoo, line: str, code: int, words: str
) -> None:
    ended, _, err = zoo("plugins", *shlex.split(line))
    assert ended == code
    assert words in err
    assert "$ uv" not in err
