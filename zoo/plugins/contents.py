"""An installed distribution as a record can hold it: what its files are, and what installs it."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from zoo.hooks import GROUP
from zoo.installer import HOST
from zoo.plugins.basis import files_of
from zoo.plugins.distributions import is_editable, stamped_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

#: made by Python, by editors and by tools beside the files that a distribution consists of
_MADE = re.compile(r"(^|/)(\.|__pycache__/)|(\.py[co]|~)$")
#: what an installer writes of a distribution, which tells of the installation
_OF_INSTALLER = re.compile(r"^[^/]+\.(dist-info|egg-info|data)/|^(\.\.|/)|\.(pth|egg-link)$")
#: beside a project's packages, but no part of it: what setuptools' discovery passes over, too
_NOT_INSTALLED = re.compile(
    r"benchmarks?|build|ci|conftest|debian|dist|docs?|documentation|downloads?|examples?|fabfile"
    r"|manpages|news|newsfragments|noxfile|packages|python|requirements|s?bin|scripts|setup"
    r"|site_scons|spec|tasks|tests?|tools?|toxfile|utils?"
)
_SECRET = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")


def sha256(distribution: Distribution) -> str:
    """SHA-256 over a distribution's files, hex; empty where none of them is known.

    It is that of the lines that `sha256sum` would print of the files, sorted by their names
    relative to the folder of packages. The files are those of RECORD, less the metadata, read now:
    one that was edited after its installation counts as it is. Of an editable installation they are
    those of the package that the entry point names and of the packages and modules beside it, but
    for tests and the like, so that a checkout and a wheel of it are alike.
    """
    lines = [f"{_of_file(file)}  {name}\n" for name, file in sorted(_files(distribution))]
    return hashlib.sha256("".join(lines).encode("utf-8", "replace")).hexdigest() if lines else ""


def _of_file(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _files(distribution: Distribution) -> Iterable[tuple[str, Path]]:
    """Name and place of each file."""
    found = [stamped_files(distribution, module) for module in _modules(distribution)]
    if not found or None in found:
        named = [(one.as_posix(), Path(str(one.locate()))) for one in distribution.files or ()]
        named = [(name, file) for name, file in named if not _OF_INSTALLER.search(name)]
    else:
        packages = [_of_package([Path(file) for file, *_ in files or ()]) for files in found]
        named = [pair for package in packages for pair in package]
    return {name: file for name, file in named if not _MADE.search(name)}.items()


def _of_package(files: list[Path]) -> list[tuple[str, Path]]:
    """Files of a package, or of a single module, named from the folder that it is in."""
    folder = min((file.parent for file in files), key=lambda one: len(one.parts), default=Path())
    if folder / "__init__.py" in files:
        folder = folder.parent
    return [(file.relative_to(folder).as_posix(), file) for file in files]


def _modules(distribution: Distribution) -> set[str]:
    """Top-level modules that its entry points name, and those beside them in an editable's source.

    zoo itself has no entry point, and nothing beside it is part of it.
    """
    if (distribution.metadata["Name"] or "") == HOST:
        return {"zoo"}
    points = [point.value for point in distribution.entry_points if point.group == GROUP]
    named = {point.partition(":")[0].partition(".")[0] for point in points}
    if not is_editable(distribution):
        return named
    return named | {beside for module in named for beside in _beside(module)}


def _beside(module: str) -> set[str]:
    """Packages and modules in the folder of a module, less those that no project installs."""
    files = [Path(file) for file, *_ in files_of(module)]
    if not files:
        return set()
    top = min(files, key=lambda file: len(file.parts)).parent
    folder = top.parent if top / "__init__.py" in files else top
    found = [one.parent for one in folder.glob("*/__init__.py")] + [*folder.glob("*.py")]
    names = {one.stem for one in found}
    return {one for one in names if one.isidentifier() and not _NOT_INSTALLED.fullmatch(one)}


def requirement(distribution: Distribution) -> str:
    """What an installer must be told to have this very distribution: PEP 508.

    `name==version`, or for what came from elsewhere than a registry `name @ URL`, of a repository
    at the commit that was installed. A password in a URL is left out.
    """
    name = distribution.metadata["Name"] or ""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        address = _address(origin) if origin else ""
    except (ValueError, KeyError, TypeError, AttributeError):  # a stranger's file as well
        address = ""
    return f"{name} @ {address}" if address else f"{name}=={distribution.version}"


def _address(origin: dict[str, Any]) -> str:
    """The URL of a direct_url.json (PEP 610), with its commit and its folder."""
    url = _SECRET.sub("", str(origin["url"]))
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if folder := origin.get("subdirectory"):
        url += f"#subdirectory={folder}"
    return url


def libraries(distribution: Distribution) -> dict[str, str]:
    """Name → version of what a distribution requires here and now, zoo left out."""
    found = {}
    for text in distribution.requires or ():
        with suppress(InvalidRequirement, PackageNotFoundError):
            wanted = Requirement(text)
            name = canonicalize_name(wanted.name)
            if name != HOST and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
                found[str(name)] = version(name)
    return found
