"""A kept listing prints, byte for byte, what one that is made anew prints, whatever has changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli import shelves
from tests.cli.shelves import LOSS, Shelf, add_nets
from tests.plugins.conftest import MUSEUM, Site
from zoo import folders
from zoo.cli import listing
from zoo.plugins.loader import forget_failures

if TYPE_CHECKING:
    from collections.abc import Callable

shelf = pytest.fixture(shelves.shelf)

COMMANDS = [
    "",
    "--json",
    "--tags",
    "--tags --json",
    "--kind entry",
    "--kind entry --json",
    "--kind head",
    "--namespace acme",
    "--namespace acme --json",
    "--params <10M --sort params",
    "--top1 >70 --sort top1 --tags",
    "--licence mi* --size >=224",
    "--features =512 --sort features --json",
    "later",
    "efficientnet*_b[01] --sort name",
    "resnt18",
    "no_such_thing --json",
    "--params many",
    "--registry nowhere.toml",
]

pytestmark = pytest.mark.usefixtures("no_strangers_finders")


def test_every_command_prints_the_same_kept_and_made_anew(shelf: Shelf) -> None:
    shelf.alone()
    add_nets(shelf)
    for exhibit in ("import_error", "twin", "zoo_twin", "healthy"):
        shelf.install(MUSEUM / exhibit)
    for command in ("", "--tags", "--json"):
        shelf.keep(command)
    for command in COMMANDS:
        assert shelf.kept(command) == shelf.made(command), command
    code, out, err = shelf.kept()
    assert code == 0
    assert "W\u00e4re \\t" in out
    assert "acme/one" in out
    assert err.count("is quarantined") == 3


def test_the_whole_catalog_prints_the_same_kept_and_made_anew(shelf: Shelf) -> None:
    for command in ("", "--tags", "--json"):
        code, out, _ = shelf.keep(command)
        assert code == 0
        assert out.count("\n") > 1400
        assert shelf.kept(command) == shelf.made(command, again=False)


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def upgraded(shelf: Shelf) -> None:
    shelf.remove("bolt")
    shelf.add("bolt", "1.1", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="newer")})


def removed(shelf: Shelf) -> None:
    shelf.remove("bolt")


def installed(shelf: Shelf) -> None:
    shelf.add("clip", "1.0", {"clip": "clip_zoo"}, {"clip_zoo.py": LOSS.format(name="more")})


def broken(shelf: Shelf) -> None:
    upgraded(shelf)
    (shelf.folder / "bolt_zoo.py").write_text("1 / 0")


def reinstalled(shelf: Shelf) -> None:
    """The same version with other contents, which its RECORD tells."""
    shelf.remove("bolt")
    shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="rebuilt")})


def rehashed(shelf: Shelf) -> None:
    """The same in place."""
    (shelf.folder / "bolt_zoo.py").write_text(LOSS.format(name="rehashed"))
    edit(shelf.folder / "bolt-1.0.dist-info" / "RECORD", "sha256=", "sha256=0")


def add_old(shelf: Shelf) -> None:
    """A plugin as setuptools used to install them."""
    old = shelf.folder / "old.egg-info"
    old.mkdir()
    (old / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1.0\n")
    (old / "entry_points.txt").write_text("[zoo]\nold = old_zoo\n")
    (shelf.folder / "old_zoo.py").write_text(LOSS.format(name="aged"))


def old_one_renamed(shelf: Shelf) -> None:
    edit(shelf.folder / "old.egg-info" / "PKG-INFO", "Name: old", "Name: odd")


def renamed(shelf: Shelf) -> None:
    edit(shelf.folder / "bolt-1.0.dist-info" / "METADATA", "Name: bolt", "Name: nut")


def no_plugin_any_more(shelf: Shelf) -> None:
    (shelf.folder / "bolt-1.0.dist-info" / "entry_points.txt").unlink()


def a_plugin_now(shelf: Shelf) -> None:
    points = shelf.folder / "library-1.0.dist-info" / "entry_points.txt"
    points.write_text("[zoo]\nlibrary = acme_two\n")
    (shelf.folder / "acme_two.py").write_text(LOSS.format(name="late_joiner"))


def add_edit(shelf: Shelf) -> None:
    """A plugin in a folder that is being worked on."""
    modules = {"edit_zoo.py": LOSS.format(name="drafted")}
    info = shelf.add("edit", "1.0", {"edit": "edit_zoo"}, modules)
    (info / "direct_url.json").write_text('{"url": "x", "dir_info": {"editable": true}}')


def edited_in_place(shelf: Shelf) -> None:
    edit(shelf.folder / "edit_zoo.py", "drafted", "improved")


def mended_by_an_installation(shelf: Shelf) -> None:
    (shelf.folder / "a_library_that_nobody_has.py").write_text("")


def rivalled(shelf: Shelf) -> None:
    shelf.add("zoo-bolt", "1.0", {"bolt": "bolt_two"}, {"bolt_two.py": ""})


def add_wide(shelf: Shelf) -> None:
    """A plugin that lists what its library has; another version of that is another list."""
    modules = {"wide_zoo.py": LOSS.format(name="as_of_one")}
    shelf.add("wide", "1.0", {"wide": "wide_zoo"}, modules, requires=["library"])


def requirement_upgraded(shelf: Shelf) -> None:
    (shelf.folder / "wide_zoo.py").write_text(LOSS.format(name="as_of_two"))
    edit(shelf.folder / "library-1.0.dist-info" / "METADATA", "Version: 1.0", "Version: 2.0")


def shadowed(shelf: Shelf) -> None:
    """A copy of another version comes first on the path."""
    first = Site(shelf.folder.with_name("first"))
    first.folder.mkdir()
    first.add("bolt", "0.9", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="elder")})
    sys.path.insert(0, str(first.folder))  # the fixture puts the path back


#: what is done → what was installed before, beside `bolt` and a library
CHANGES: dict[Callable[[Shelf], None], Callable[[Shelf], object] | None] = {
    upgraded: None,
    removed: None,
    installed: None,
    broken: None,
    reinstalled: None,
    rehashed: None,
    renamed: None,
    no_plugin_any_more: None,
    a_plugin_now: None,
    rivalled: None,
    shadowed: None,
    edited_in_place: add_edit,
    old_one_renamed: add_old,
    requirement_upgraded: add_wide,
    mended_by_an_installation: lambda shelf: shelf.install(MUSEUM / "import_error"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_catalog_changes_the_list(
    shelf: Shelf, change: Callable[[Shelf], None]
) -> None:
    shelf.alone()
    shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="older")})
    shelf.add("library", "1.0", {}, {})
    also = CHANGES[change]
    if also:
        also(shelf)
    before = shelf.keep("--kind loss")
    change(shelf)
    after = shelf.list("--kind loss")
    assert after != before
    assert after == shelf.made("--kind loss")
    assert shelf.keep("--kind loss") == after


def test_what_does_not_change_the_catalog_leaves_the_list_kept(shelf: Shelf) -> None:
    shelf.alone()
    shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="one")})
    shelf.keep()
    (shelf.folder / "a_module.py").write_text("")
    (folders.config() / "config.toml").write_text('prefer = ["timm/resnet18"]\n')
    assert shelf.kept() == shelf.made()


def test_a_plugin_that_is_tried_again_is_listed_as_it_is_now(shelf: Shelf) -> None:
    shelf.alone()
    shelf.install(MUSEUM / "import_error")
    assert "import-error 0.3 is quarantined" in shelf.keep()[2]
    forget_failures()
    assert not shelf.is_kept()
    assert shelf.list() == shelf.made()


def test_a_failure_that_may_pass_is_never_kept(shelf: Shelf) -> None:
    shelf.alone()
    shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": 'open("/not/there")\n'})
    for _ in range(3):
        assert "FileNotFoundError" in shelf.list()[2]
        assert not Path(listing.kept_file("rows")).exists()
