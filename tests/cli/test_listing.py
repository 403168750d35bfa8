"""A kept listing prints, byte for byte, what one that is made anew prints, whatever has changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugins.conftest import MUSEUM, Site
from zoo import folders, index
from zoo.cli import listing, main
from zoo.plugins import basis
from zoo.plugins.loader import forget_failures

if TYPE_CHECKING:
    from collections.abc import Callable

Told = tuple[object, str, str]

LOSS = """
import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="{name}", target="acme_build:build", needs=("logits",))
"""
NETS = """
import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="late", target="m:f", provides=("features",), summary="Wäre \\t schön.",
        facts=zoo.Facts(params=1_000), deprecated=zoo.Deprecated(since="0.2"), aliases=("later",),
        weights=(
            zoo.Weights(tag="v1", top1=70.5, licence="MIT"), zoo.Weights(tag="v2", default=True),
        ),
    )
    yield zoo.Component(name="bare", target="m:f", provides=("features",))


@zoo.hookimpl
def zoo_entries():
    return ["acme_zoo:acme.toml"]
"""
ENTRIES = 'schema = 1\n[entries.one]\nspec = "acme/late+linear+ce"\n'
OWN = 'schema = 1\n[entries.mine]\nspec = "resnet18+linear+ce"\nlr = 0.1\n'
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


class Shelf(Site):
    """A site before those of the environment, and `zoo list` in an empty folder."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(folder)
        self._patch = patch
        self._capsys = capsys

    def alone(self) -> None:
        """Let no other distributions be installed: theirs take time."""
        others = [place for place in sys.path[1:] if not [*Path(place).glob("*-info")]]
        self._patch.setattr(sys, "path", [str(self.folder), *others])
        self._patch.setenv("ZOO_CACHE", str(self.folder.with_name("cache")))

    def list(self, arguments: str = "", *, again: bool = True) -> Told:
        """Code, output and errors of the command.

        Args:
            arguments: of the command.
            again: whether plugins are looked for, as a new process does.
        """
        if again:
            index.catalog.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main(["list", *arguments.split()])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err, err
        return ended.value.code, out, err

    def made(self, arguments: str = "", *, again: bool = True) -> Told:
        """The same, made anew."""
        with self._patch.context() as patch:
            patch.setattr(listing, "kept", dict[str, None]().get)
            return self.list(arguments, again=again)

    def kept(self, arguments: str = "") -> Told:
        """The same, which must be a kept one."""

        def anew(view: str) -> None:
            raise AssertionError(f"{view} were made anew")

        with self._patch.context() as patch:
            patch.setattr(listing, "made", anew)
            return self.list(arguments)

    def is_kept(self, view: Any = "rows") -> bool:  # noqa: ANN401 - one of three words
        return listing.kept(view) is not None

    def keep(self, arguments: str = "") -> Told:
        """List until it is kept: what was surveyed just now is not."""
        self.list(arguments)
        self.list(arguments)
        return self.kept(arguments)


@pytest.fixture
def shelf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shelf:
    monkeypatch.setattr(basis, "_YOUNG", 0)  # all that a test writes is young
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    for name in ("site", "empty", "config"):
        (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "empty")
    return Shelf(tmp_path / "site", monkeypatch, capsys)


def add_nets(shelf: Shelf) -> Path:
    """A plugin that is a package and ships entries; its folder."""
    package = shelf.folder / "acme_zoo"
    package.mkdir()
    (package / "acme.toml").write_text(ENTRIES)
    shelf.add("zoo-acme", "1.0", {"acme": "acme_zoo"}, {"acme_zoo/__init__.py": NETS})
    return package


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


def renamed(shelf: Shelf) -> None:
    edit(shelf.folder / "bolt-1.0.dist-info" / "METADATA", "Name: bolt", "Name: nut")


def no_plugin_any_more(shelf: Shelf) -> None:
    (shelf.folder / "bolt-1.0.dist-info" / "entry_points.txt").unlink()


def a_plugin_now(shelf: Shelf) -> None:
    points = shelf.folder / "library-1.0.dist-info" / "entry_points.txt"
    points.write_text("[zoo]\nlibrary = acme_two\n")
    (shelf.folder / "acme_two.py").write_text(LOSS.format(name="late_joiner"))


def edited_in_place(shelf: Shelf) -> None:
    """A plugin in a folder that is being worked on."""
    edit(shelf.folder / "edit_zoo.py", "drafted", "improved")


def mended_by_an_installation(shelf: Shelf) -> None:
    (shelf.folder / "a_library_that_nobody_has.py").write_text("")


def rivalled(shelf: Shelf) -> None:
    shelf.add("zoo-bolt", "1.0", {"bolt": "bolt_two"}, {"bolt_two.py": ""})


def requirement_upgraded(shelf: Shelf) -> None:
    """The plugin lists what its library has; another version of that is another list."""
    (shelf.folder / "wide_zoo.py").write_text(LOSS.format(name="as_of_two"))
    edit(shelf.folder / "library-1.0.dist-info" / "METADATA", "Version: 1.0", "Version: 2.0")


def shadowed(shelf: Shelf) -> None:
    """A copy of another version comes first on the path."""
    first = Site(shelf.folder.with_name("first"))
    first.folder.mkdir()
    first.add("bolt", "0.9", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="elder")})
    sys.path.insert(0, str(first.folder))  # the fixture puts the path back


CHANGES = [
    upgraded, removed, installed, broken, reinstalled, renamed, no_plugin_any_more, a_plugin_now,
    edited_in_place, mended_by_an_installation, rivalled, requirement_upgraded, shadowed,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_catalog_changes_the_list(
    shelf: Shelf, change: Callable[[Shelf], None]
) -> None:
    shelf.alone()
    shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="older")})
    shelf.add("library", "1.0", {}, {})
    (shelf.folder / "library-1.0.dist-info" / "entry_points.txt").unlink()
    info = shelf.add(
        "edit", "1.0", {"edit": "edit_zoo"}, {"edit_zoo.py": LOSS.format(name="drafted")}
    )
    (info / "direct_url.json").write_text('{"url": "x", "dir_info": {"editable": true}}')
    wide = {"wide_zoo.py": LOSS.format(name="as_of_one")}
    shelf.add("wide", "1.0", {"wide": "wide_zoo"}, wide, requires=["library"])
    shelf.install(MUSEUM / "import_error")
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
        assert not shelf.is_kept()


def test_registry_files_of_the_users_own_are_read_each_time(shelf: Shelf) -> None:
    shelf.alone()
    add_nets(shelf)
    shelf.keep()
    shelf.keep("--json")
    here, there = Path("registry.toml"), folders.config() / "registry.toml"
    for file in (here, there):
        file.write_text(OWN)
        assert "entry  mine" in " ".join(shelf.kept("--kind entry")[1].split(" "))
        assert shelf.kept("--kind entry --json") == shelf.made("--kind entry --json")
        file.write_text("schema = 2\n")
        assert shelf.kept("--kind entry") == shelf.made("--kind entry")
        assert shelf.kept("--kind entry")[0] == 2
        file.unlink()
    extra = shelf.folder / "extra.toml"
    extra.write_text(OWN)
    assert "mine" in shelf.kept(f"--registry {extra} --kind entry")[1]
    assert "mine" not in shelf.kept("--kind entry")[1]


@pytest.mark.parametrize("text", [ENTRIES.replace("one", "two"), "schema = 2\n", None])
def test_a_registry_file_that_a_plugin_ships_is_looked_at(shelf: Shelf, text: str | None) -> None:
    shelf.alone()
    file = add_nets(shelf) / "acme.toml"
    before = shelf.keep("--kind entry")
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    after = shelf.list("--kind entry")
    assert after != before
    assert after == shelf.made("--kind entry")
    assert shelf.kept("--kind entry") == after


def summed(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big") + data


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: data[:0],
    "half": lambda data: data[: len(data) // 2],
    "a bit": lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
    "cut before it was summed": lambda data: summed(data[4 : len(data) // 2]),
    "None": lambda data: summed(data[:0] + b"N"),
    "a list": lambda data: summed(data[:0] + b"[\x00\x00\x00\x00"),
    "a dict": lambda data: summed(data[:0] + b"{0"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_listing_is_made_anew(shelf: Shelf, damage: Callable[[bytes], bytes]) -> None:
    shelf.alone()
    before = shelf.keep()
    file = Path(listing.kept_file("rows"))
    file.write_bytes(damage(file.read_bytes()))
    assert not shelf.is_kept()
    assert shelf.list() == before
    assert shelf.kept() == before


def test_a_listing_of_other_code_or_another_path_does_not_count(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.alone()
    shelf.keep()
    file = listing.kept_file("rows")
    with monkeypatch.context() as patch:
        patch.setattr(basis, "CODE", (0,))
        assert listing.kept_file("rows") != file
        patch.setattr(listing, "kept_file", {"rows": file}.get)
        assert not shelf.is_kept()
    with monkeypatch.context() as patch:
        patch.setattr(listing, "kept_file", {"rows": file}.get)
        patch.syspath_prepend(shelf.folder.with_name("empty"))
        assert not shelf.is_kept()
    assert shelf.is_kept()


def test_distributions_that_come_from_elsewhere_leave_nothing_kept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.alone()

    class Finder:
        @staticmethod
        def find_spec(*_: object) -> None:
            """Nothing."""

        @staticmethod
        def find_distributions(*_: object) -> list[object]:
            return []

    shelf.keep()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert not shelf.is_kept()
    Path(listing.kept_file("rows")).unlink()
    shelf.list()
    assert not Path(listing.kept_file("rows")).exists()


def test_where_it_cannot_be_kept_it_is_made_anew_each_time(shelf: Shelf) -> None:
    shelf.alone()

    before = shelf.keep()
    Path(listing.kept_file("rows")).unlink()
    Path(listing.kept_file("rows")).mkdir()  # can be neither read nor written, by root either
    assert shelf.list() == before
    assert not shelf.is_kept()


def test_no_more_listings_are_kept_than_some_environments_need(shelf: Shelf) -> None:
    shelf.alone()
    for number in range(40):
        old = folders.cache() / "catalog" / f"list-rows-{number:08x}.bin"
        old.parent.mkdir(exist_ok=True, parents=True)
        old.write_bytes(b"")
        os.utime(old, (number, number))
    before = shelf.keep()
    assert len([*(folders.cache() / "catalog").glob("list-*.bin")]) == listing.KEPT
    assert shelf.kept() == before


def test_what_changed_a_moment_ago_is_not_relied_on(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may change twice within the steps in which its file system counts."""
    shelf.alone()
    info = shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="one")})
    shelf.keep()
    Path(listing.kept_file("rows")).unlink()
    monkeypatch.setattr(basis, "_YOUNG", 10**9)
    now = time.time()
    monkeypatch.setattr(time, "time_ns", lambda: int((now + 3600) * 10**9))
    os.utime(info / "RECORD", (now + 3599.5, now + 3599.5))
    shelf.list()
    assert not shelf.is_kept()
    os.utime(info / "RECORD", (now, now))
    shelf.list()
    assert shelf.is_kept()


def test_processes_that_list_at_once_agree(shelf: Shelf) -> None:
    shelf.add("bolt", "1.0", {"bolt": "bolt_zoo"}, {"bolt_zoo.py": LOSS.format(name="one")})
    expected = shelf.made()[1]
    env = {**os.environ, "PYTHONPATH": str(shelf.folder)}

    def one(_: int) -> str:
        command = [sys.executable, "-m", "zoo", "list"]
        return subprocess.check_output(command, text=True, env=env)

    with ThreadPoolExecutor(3) as pool:
        assert {*pool.map(one, range(6))} == {expected}
    assert "bolt/one" in expected
