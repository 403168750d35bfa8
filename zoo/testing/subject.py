"""Which plugin is meant: an installed distribution, or the folder of a package."""

from __future__ import annotations

import sys
import tempfile
import tomllib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import InputMissing, Unavailable, UsageError
from zoo.hooks import GROUP
from zoo.near import near
from zoo.plugins.distributions import Source, called, normalised, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    Found = tuple[Source, tuple[str, ...]]


@contextmanager
def located(plugin: str | Path) -> Iterator[Found]:
    """The plugin's distribution, and the import path that it is found on.

    Args:
        plugin: name of an installed distribution, its namespace or entry point, or a folder with a
            `pyproject.toml`, which counts as installed while the block runs.

    Raises:
        Unavailable: no installed plugin is called so, or it is disabled.
        InputMissing: there is no such folder, or it has no `pyproject.toml`.
        UsageError: its `pyproject.toml` declares no plugin.
    """
    if isinstance(plugin, Path) or "/" in plugin or plugin in (".", ".."):
        with _staged(Path(plugin)) as found:
            yield found
        return
    path = tuple(filter(None, sys.path))
    yield _installed(plugin), path


def _installed(name: str) -> Source:
    found = sources()
    for one in called(name, found):
        return _let_in(one)
    known = [one.distribution for one in found]
    shown = near(normalised(name), known, count=3) or known
    raise Unavailable(
        f"There is no installed plugin {name!r}.",
        hint=f"There is: {', '.join(shown) or 'none'}. A folder is written with a slash: ./{name}",
    )


def _let_in(source: Source) -> Source:
    """The same; what the user left out is not imported to be checked either."""
    if source.off:
        owner = f"{source.distribution} {source.version}"
        raise Unavailable(f"{owner} is disabled by {source.off.by}.", hint=source.off.undo)
    return source


@contextmanager
def _staged(folder: Path) -> Iterator[Found]:
    """The folder as if it were installed: its metadata goes into a temporary folder."""
    file = folder / "pyproject.toml"
    if not file.is_file():
        raise InputMissing(f"{folder} has no pyproject.toml.", hint="Give the package's folder.")
    try:
        project: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))["project"]
        name, points = str(project["name"]), dict(project["entry-points"][GROUP])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{file} declares no plugin: {type(error).__name__}: {error}.",
            hint=f"It needs [project] with a name, and [project.entry-points.{GROUP}].",
        ) from error
    version = str(project.get("version", "0"))
    code = folder / "src" if (folder / "src").is_dir() else folder
    with tempfile.TemporaryDirectory(prefix="zoo-staged-") as place:
        info = Path(place) / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {one}\n" for one in project.get("dependencies", ()))
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(head + needs, "utf-8")
        lines = "".join(f"{key} = {value}\n" for key, value in points.items())
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}", "utf-8")
        path = (place, str(code.resolve()), *filter(None, sys.path))
        # With its own folder alone, no other installed plugin can be a rival for the namespace.
        source = _let_in(next(iter(sources([place]))))
        yield replace(source, hidden=()), path
