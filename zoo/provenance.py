"""What a run was made with, on record: plugins with a hash of their files, and versions.

And what of that is different now.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import __version__, installer
from zoo.plugins import basis
from zoo.plugins.distributions import HOST, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: libraries whose version decides numbers
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "safetensors")


def plugins(distributions: Iterable[str]) -> dict[str, dict[str, str]]:
    """Distribution → its version and the SHA-256 over its installed files, as plan.json has it.

    The files are those of the package that the entry point names, however it was installed: so a
    checkout and a wheel of the same code agree. The hash is over `path, NUL, SHA-256 of the file,
    newline` of each, by path from the package's folder on; compiled files do not count.
    """
    found = {source.distribution: source for source in sources()}
    return {
        name: {"version": found[name].version, "files": files_hash(found[name].module)}
        for name in sorted(set(distributions))
        if name in found
    }


def files_hash(module: str) -> str:
    """See `plugins`.

    Args:
        module: that an entry point names.
    """
    files = [Path(file) for file, _, _ in basis.files_of(module)]
    whole = hashlib.sha256()
    folder = Path(*_common(files)) if files else Path()
    for file in sorted(files):
        if file.suffix in {".pyc", ".pyo"}:
            continue
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{file.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return whole.hexdigest()


def _common(files: list[Path]) -> tuple[str, ...]:
    """The parts of the path of the folder that all files lie below."""
    shortest = min((file.parent.parts for file in files), key=len)
    while any(file.parts[: len(shortest)] != shortest for file in files):
        shortest = shortest[:-1]
    return shortest


def versions() -> dict[str, str]:
    """Library → version, of those that decide numbers."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def drift(record: Mapping[str, Any], listed: Mapping[str, str]) -> list[str]:
    """What a plan.json says that it was made with and is different now, a line each.

    Args:
        record: as the file has it.
        listed: distribution → version of every plugin that can be used now.
    """
    kinds = ("backbone", "head", "loss")
    used = {record[kind]["plugin"]: record[kind]["version"] for kind in kinds}
    then: Mapping[str, str] = {**record.get("packages", {}), **used}
    now = {**versions(), **listed}
    lines = []
    if record.get("zoo", __version__) != __version__:
        lines.append(_changed(HOST, record["zoo"], __version__))
    lines += [
        _changed(name, version, now.get(name))
        for name, version in sorted(then.items())
        if now.get(name) != version
    ]
    here = plugins(used)
    for name, one in sorted(record.get("plugins", {}).items()):
        same_version = name in here and here[name]["version"] == one["version"]
        if same_version and here[name]["files"] != one["files"]:
            lines.append(f"{name} {one['version']}: its files are not those that the run used")
    return lines


def _changed(name: str, then: str, now: str | None) -> str:
    line = installer.to_install(f"{name}=={then}")
    if now is None:
        return f"{name} {then} is not installed: {line}"
    return f"{name} was {then} and is {now}: {line}"
