"""Where the packages of a distribution lie that is worked on: of an editable installation.

Its RECORD names no files of theirs, but what leads Python to them: a `.pth` with the folder that
they are in, or setuptools' finder with a table. Nothing of it is imported or run.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.installer import HOST
from zoo.plugins.distributions import is_editable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution

_FINDER = re.compile(r"__editable__.*_finder\.py")
#: what lies beside packages and is shipped with none: the names that setuptools, too, leaves out of
#: a project whose packages lie in its folder
_BESIDE = {
    "benchmark", "benchmarks", "bin", "build", "changelog", "ci", "conftest", "debian", "dist",
    "doc", "docs", "documentation", "dodo", "example", "examples", "exercise", "exercises",
    "fabfile", "htmlcov", "manpages", "news", "newsfragments", "node_modules", "noxfile",
    "pavement", "python", "requirements", "scripts", "setup", "tasks", "test", "tests", "tools",
    "toxfile", "unit_test", "unit_tests", "util", "utils", "venv", "website",
}  # fmt: skip


def packages(distribution: Distribution) -> dict[str, Path]:
    """Name → folder of each package, or file of each module, that a distribution brings.

    They are those that its entry points and its `top_level.txt` name, that stand in the finder's
    table, or that lie in the folder of a `.pth`; where neither leads anywhere, those beside the
    named ones. A package in a namespace may have a dotted name. zoo itself is one package, and
    nothing beside it is part of it.
    """
    places = {name: _spec_place(name) for name in _named(distribution)}
    named = {name: place for name, place in places.items() if place}
    if (distribution.metadata["Name"] or "") == HOST:
        return named
    found: dict[str, Path] = {}
    for pointer in _pointers(distribution):
        found |= _mapped(pointer) if pointer.suffix == ".py" else _listed(pointer)
    if not found and is_editable(distribution):
        site = Path(str(distribution.locate_file("")))
        for folder in {place.parent for place in named.values()} - {site}:
            found |= _inside(folder)
    spaces = {name.partition(".")[0] for name in found}
    return {name: place for name, place in named.items() if name not in spaces} | found


def _pointers(distribution: Distribution) -> Iterator[Path]:
    """The installed files that lead Python to the packages."""
    for one in distribution.files or ():
        if one.suffix == ".pth" or _FINDER.fullmatch(one.name):
            yield Path(str(one.locate()))


def _named(distribution: Distribution) -> Iterator[str]:
    """The top-level packages that its metadata names."""
    for point in distribution.entry_points:
        yield point.value.partition(":")[0].partition(".")[0].strip()
    yield from (distribution.read_text("top_level.txt") or "").split()


def _mapped(finder: Path) -> dict[str, Path]:
    """The table of setuptools' finder, `MAPPING`: read, not run."""
    found: dict[str, Path] = {}
    with suppress(OSError, SyntaxError, ValueError, TypeError, AttributeError):
        for node in ast.parse(finder.read_text("utf-8")).body:
            if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == "MAPPING":
                for name, path in ast.literal_eval(node.value).items():
                    place = _place(Path(path))
                    found |= {name: place} if place else {}
    return found


def _listed(pth: Path) -> dict[str, Path]:
    """What can be imported from the folders of a `.pth`."""
    found: dict[str, Path] = {}
    with suppress(OSError, ValueError):
        for line in pth.read_text("utf-8").splitlines():
            if line.strip() and not line.startswith(("#", "import ", "import\t")):
                found |= _inside(pth.parent / line.strip())
    return found


def _inside(folder: Path) -> dict[str, Path]:
    """The packages and modules in a folder, less what is shipped with none."""
    if not folder.is_dir():
        return {}
    packages = {file.parent.name: file.parent for file in folder.glob("*/__init__.py")}
    found = {file.stem: file for file in folder.glob("*.py")} | packages
    return {
        name: place for name, place in found.items() if name.isidentifier() and name not in _BESIDE
    }


def _spec_place(name: str) -> Path | None:
    """Where Python finds a top-level package or module; a namespace's first folder."""
    with suppress(ImportError, ValueError):
        spec = find_spec(name)
        if spec and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations)))
        if spec and spec.origin:
            return _place(Path(spec.origin))
    return None


def _place(path: Path) -> Path | None:
    """A package's folder or a module's file; the finder's table leaves a module's `.py` out."""
    source = path.with_name(f"{path.name}.py")
    return next((one for one in (path, source) if one.exists()), None)
