"""An installed distribution as a record can hold it: what its files are, and what installs it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from zoo.installer import HOST
from zoo.plugins import editable
from zoo.plugins.distributions import is_recorded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

#: made by Python, by editors and by tools beside the files that a distribution consists of
_MADE = re.compile(r"(^|/)(\.|__pycache__/)|(\.py[co]|~)$")
#: what an installer writes of a distribution, which tells of the installation
_OF_INSTALLER = re.compile(r"^[^/]+\.(dist-info|egg-info|data)/|^(\.\.|/)|\.(pth|egg-link)$")
#: what stands before the host of a URL: a password, or a token alone; `git` is everybody
_SECRET = re.compile(r"(?<=://)(?!git@)[^/\s]*@")


def sha256(distribution: Distribution) -> str:
    """SHA-256 over a distribution's files, hex; empty where none of them is known.

    It is that of the lines that `sha256sum` would print of the files, sorted by their names
    relative to the folder of packages. The files are those of RECORD, less the metadata, read now:
    one that was edited after its installation counts as it is. Of an editable installation they are
    those of all its packages (see `zoo.plugins.editable`), so that a checkout and a wheel of it are
    alike.
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
    if is_recorded(distribution):
        named = [(one.as_posix(), Path(str(one.locate()))) for one in distribution.files or ()]
        named = [(name, file) for name, file in named if not _OF_INSTALLER.search(name)]
    else:
        places = editable.packages(distribution)
        named = [one for name, place in places.items() for one in _of_package(name, place)]
    return [(name, file) for name, file in named if not _MADE.search(name)]


def _of_package(name: str, place: Path) -> list[tuple[str, Path]]:
    """Files of a package, or of a single module, named from the folder of packages on."""
    above = name.replace(".", "/")
    if place.is_file():
        return [(f"{above}{place.suffix}", place)]
    inner = [Path(folder, file) for folder, _, files in os.walk(place) for file in files]
    return [(f"{above}/{file.relative_to(place).as_posix()}", file) for file in inner]


def requirement(distribution: Distribution) -> str:
    """What an installer must be told to have this very distribution: PEP 508.

    `name==version`, or for what came from elsewhere than a registry `name @ URL`, of a repository
    at the commit that was installed. A password, or a token, in a URL is left out.
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
