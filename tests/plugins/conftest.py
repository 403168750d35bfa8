"""Fake installations: a package folder becomes an installed distribution without pip."""

from __future__ import annotations

import base64
import hashlib
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MUSEUM = Path(__file__).parents[1] / "broken_plugins"


class Site:
    """A folder of installed distributions, as `site-packages` is one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def path(self) -> list[str]:
        return [str(self.folder)]

    def install(self, package: Path) -> None:
        """Install a folder with a pyproject.toml, and modules and packages beside it."""
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        modules = {
            file.relative_to(package).as_posix(): file.read_bytes()
            for file in package.rglob("*")
            if file.is_file() and file.name != "pyproject.toml" and file.suffix != ".pyc"
        }
        self.add(
            project["name"],
            project["version"],
            project["entry-points"]["zoo"],
            modules,
            requires=project.get("dependencies", ()),
        )

    def add(
        self,
        name: str,
        version: str,
        entry_points: Mapping[str, str],
        modules: Mapping[str, str | bytes],
        *,
        requires: Sequence[str] = (),
    ) -> Path:
        """Write modules, or other files of a package, and a dist-info; returns the dist-info."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(head + needs)
        points = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
        if points:
            (info / "entry_points.txt").write_text(f"[zoo]\n{points}")
        record = ""
        for file, text in modules.items():
            content = text.encode() if isinstance(text, str) else text
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_bytes(content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
            record += f"{file},sha256={digest.rstrip('=')},{len(content)}\n"
        (info / "RECORD").write_text(record)
        return info

    def remove(self, name: str) -> None:
        for info in self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(info)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An empty site folder on `sys.path`, and an empty cache."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return Site(folder)


@pytest.fixture(scope="session")
def museum() -> Path:
    return MUSEUM


@pytest.fixture(scope="session")
def make_site() -> type[Site]:
    return Site
