"""What a plugin's files import, read from their text: none of it is run."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from zoo.plugins import basis
from zoo.plugins.distributions import HOST, Source, normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zoo.components import Component, Kind

#: rooms of zoo that plugins may import beside the public door
_PUBLIC = ("zoo.testing",)


def packages(module: str, components: Mapping[Kind, Sequence[Component]]) -> set[str]:
    """Top-level names of the plugin's own code: its entry module's, and those of its targets."""
    targets = {one.target for found in components.values() for one in found}
    tops = {target.partition(":")[0].partition(".")[0] for target in targets}
    own = module.partition(".")[0]
    beside = _folder(own)
    return {own, *(top for top in tops if _folder(top) == beside)}


def _folder(top: str) -> Path | None:
    """Where a top-level module or package lies."""
    files = basis.files_of(top)
    if not files:
        return None
    paths = [Path(file) for file, _, _ in files]
    inside = next(
        (one for one in paths if one.name == "__init__.py" and one.parent.name == top), None
    )
    return inside.parent.parent if inside else paths[0].parent


def third_party(own: set[str]) -> set[str]:
    """Top-level names that the plugin's files import and that are neither its own nor Python's."""
    found = {name.partition(".")[0] for name, _ in _imports(own)}
    return found - own - sys.stdlib_module_names


def _imports(own: set[str]) -> Iterator[tuple[str, str]]:
    """(module, file and line) of each import statement that is not guarded by a `try`."""
    for top in sorted(own):
        for file, _, _ in basis.files_of(top):
            if not file.endswith(".py"):
                continue
            try:
                tree = ast.parse(Path(file).read_bytes())
            except (SyntaxError, ValueError, OSError):
                continue  # whoever imports it will say so
            for module, line in _statements(tree):
                yield module, f"{Path(file).name}:{line}"


def _statements(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Try):
            continue  # it has a way to go on without
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            # `from zoo import testing` names a room as well
            rooms = [f"zoo.{alias.name}" for alias in node.names if node.module == "zoo"]
            yield from ((name, node.lineno) for name in (node.module, *rooms))
        else:
            yield from _statements(node)


def complaints(
    source: Source, path: Sequence[str], components: Mapping[Kind, Sequence[Component]]
) -> Iterator[str]:
    """Imports that nothing declares, rooms behind zoo's door, requirements that are not met."""
    own = packages(source.module, components)
    declared = _declared(source, path)
    needed = [text for found in components.values() for one in found for text in one.requires]
    yield from _unmet(declared, "the package")
    yield from _unmet(dict.fromkeys(needed), "a component")
    allowed = {normalised(Requirement(text).name) for text in (*declared, *needed, *_of_host())}
    allowed.add(source.distribution)
    if HOST not in {normalised(Requirement(text).name) for text in declared}:
        yield f"the package does not require {HOST}"
    told = set()
    for module, where in _imports(own):
        top = module.partition(".")[0]
        if top == "zoo":
            if _is_room(module):
                yield f"{where} imports {module}, a room of zoo's behind its public door"
            continue
        if top in own or top in sys.stdlib_module_names or top in told:
            continue
        owners = {normalised(owner) for owner in _owners().get(top, ())}
        if owners and not owners & allowed:
            told.add(top)
            yield f"{where} imports {top} of {' or '.join(sorted(owners))}, which is not required"


def _is_room(module: str) -> bool:
    if any(module == door or module.startswith(f"{door}.") for door in _PUBLIC):
        return False
    room = module.split(".")[1:2]
    import zoo

    return bool(room) and room[0] not in zoo.__all__


def _declared(source: Source, path: Sequence[str]) -> dict[str, None]:
    """The requirements of the distribution; those of extras left out."""
    found = next(iter(metadata.distributions(name=source.distribution, path=[*path])), None)
    return dict.fromkeys(_plain(found.requires if found else ()))


def _of_host() -> list[str]:
    try:
        return _plain(metadata.requires(HOST))
    except metadata.PackageNotFoundError:
        return []


def _plain(texts: Sequence[str] | None) -> list[str]:
    return [text for text in texts or () if not re.search(r"\bextra\s*==", text)]


def _unmet(texts: Mapping[str, None], whose: str) -> Iterator[str]:
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            yield f"{whose} requires {text!r}, which is not PEP 508"
            continue
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"{whose} requires {text}, which is not installed"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{whose} requires {text}, and {version} is installed"


@cache
def _owners() -> Mapping[str, list[str]]:
    """Top-level import name → distributions, of all that is installed."""
    return metadata.packages_distributions()
