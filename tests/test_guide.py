"""The guide for authors tells the truth: from nothing to a package, each block in its turn.

A block that names a file is part of what `zoo plugins new` wrote, or else is put there by the
reader; commands and Python are run as they stand. The package is built and installed for real, but
into a folder of the test's own, and nothing is published.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import zoo
from tests.conftest import BLOCK
from zoo import index
from zoo.cli import main
from zoo.components import Component
from zoo.data.demo import demo_folder
from zoo.plugins.door import complaints

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path(__file__).parents[1] / "plugins" / "README.md"
PACKAGE = Path("zoo-acme")
UV = os.environ.get("UV") or shutil.which("uv") or "uv"
#: minutes to read the guide in, and what people read in one
MINUTES, WORDS_A_MINUTE = 10, 230


class Reader:
    """Somebody who does what the guide says, in a folder of their own.

    Args:
        folder: some images in it, and where packages are installed.
    """

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        #: what was done with the blocks, and with the commands
        self.done: list[str] = []

    def reads(self, language: str, file: str, code: str) -> None:
        """Do with one block what it is for."""
        if language == "sh":
            for line in code.splitlines():
                self.types(line)
        elif file:
            self.writes(PACKAGE / file, code)
        else:
            names: dict[str, Any] = {"zoo": zoo}
            component = eval(code, names)  # noqa: S307 - the point of the test
            assert isinstance(component, Component)
            kind = "head" if component.needs else "backbone"
            assert not complaints(kind, [component])
            self.done.append("a component")

    def writes(self, file: Path, code: str) -> None:
        """Find the block in the package, or put it there."""
        there = file.read_text("utf-8") if file.exists() else ""
        if code in there:
            self.done.append("shown")
            return
        file.write_text(f"{there}\n\n{code}" if there else code, "utf-8")
        self.done.append("added" if there else "written")

    def types(self, line: str) -> None:
        """Carry out a command."""
        program, *words = shlex.split(line)
        self.done.append(" ".join([program, *words[:2]]))
        if program == "zoo":
            _zoo(*words, *(("--epochs", "2") if words[0] == "run" else ()))
        elif program == "python":
            _run(sys.executable, *words, "-p", "no:cacheprovider")
        elif words[:2] == ["pip", "install"] and "--editable" not in words:
            # What tests need is here: uv only looks.
            _run(UV, *words, "--python", sys.executable, "--quiet", "--offline")
        elif words[0] == "build":
            _run(UV, *words, "--quiet", "--offline")
        elif words[0] == "publish":
            assert [path.suffix for path in sorted(PACKAGE.glob("dist/*.[wt]*"))] == [".whl", ".gz"]
        else:
            assert words[:3] == ["pip", "install", "--editable"]
            target = ("--target", self.site, "--no-deps", "--reinstall", "--quiet", "--offline")
            _run(UV, *words[:2], *target, *words[3:])
            _forget()


def _run(*words: str | Path) -> None:
    told = subprocess.run([*words], check=False, capture_output=True, text=True)
    assert told.returncode == 0, f"{told.stdout}{told.stderr}"


def _zoo(*words: str) -> None:
    index.catalog.cache_clear()  # as in a process of its own
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 0, words


def _forget() -> None:
    """The package, as this process imported it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "zoo_acme"]:
        del sys.modules[name]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    for kind in ("balloon", "house"):
        (tmp_path / "imgs" / kind).mkdir(parents=True)
        for picture in sorted((demo_folder() / kind).iterdir())[:5]:
            shutil.copy(picture, tmp_path / "imgs" / kind)
    found = Reader(tmp_path)
    found.site.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(found.site)
    monkeypatch.setenv("PYTHONPATH", str(found.site))
    _forget()
    yield found
    _forget()
    index.catalog.cache_clear()


def test_a_reader_who_does_what_it_says_has_a_package_that_trains(reader: Reader) -> None:
    for block in BLOCK.finditer(GUIDE.read_text("utf-8")):
        reader.reads(block["language"], block["file"], block["code"])
    assert reader.done.count("shown") == 4
    assert "zoo run acme/convnet+linear+acme/focal" in reader.done
    name, status, top1 = Path("runs/journal.txt").read_text().split()
    assert (name, status) == ("acme-angles-1", "finished")
    assert 0 <= float(top1) <= 1
    assert "uv publish ./zoo-acme/dist/*" in reader.done


def test_it_is_read_in_ten_minutes() -> None:
    words = re.findall(r"\w+", GUIDE.read_text("utf-8"))
    assert len(words) <= MINUTES * WORDS_A_MINUTE
