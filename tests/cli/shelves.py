"""`zoo list` with plugins of a test's own. `shelf` is a fixture of the tests that name it so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugins.conftest import Site
from zoo import index
from zoo.cli import listing, main
from zoo.plugins import basis

if TYPE_CHECKING:
    from collections.abc import Iterator

#: code, output, errors
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


def shelf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shelf]:
    monkeypatch.setattr(basis, "_YOUNG", 0)  # all that a test writes is young
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    for name in ("site", "empty", "config"):
        (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "empty")
    index.catalog.cache_clear()
    yield Shelf(tmp_path / "site", monkeypatch, capsys)
    index.catalog.cache_clear()  # what the shelf offers is gone


def add_nets(shelf: Shelf) -> Path:
    """A plugin that is a package and ships entries; its folder."""
    package = shelf.folder / "acme_zoo"
    package.mkdir()
    (package / "acme.toml").write_text(ENTRIES)
    shelf.add("zoo-acme", "1.0", {"acme": "acme_zoo"}, {"acme_zoo/__init__.py": NETS})
    return package
