"""What a stored run says of its components, held against the plugins that are installed.

A plan or a model's card may come from a stranger. It says which components it was made with, and
with which options; their code, ports and weights come from the installed plugin of that name, never
from the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from zoo import installer
from zoo.errors import Mismatch
from zoo.options import problems
from zoo.specify import specified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.components import Component, Kind, Value
    from zoo.index import Catalog, Listed


@dataclass(frozen=True, slots=True)
class Wanted:
    """A component as a stored file names it.

    Args:
        kind: backbone, head or loss.
        full_name: `timm/resnet18`.
        plugin: the distribution that it came from.
        version: of that distribution.
        options: by name; None where the component decides.
    """

    kind: Kind
    full_name: str
    plugin: str
    version: str
    options: Mapping[str, object]

    @property
    def title(self) -> str:
        """For messages: `timm/resnet18 (zoo-timm 0.1.0)`."""
        return f"{self.full_name} ({self.plugin} {self.version})"


def find(catalog: Catalog, wanted: Wanted) -> Listed:
    """The installed component, which may be of another version.

    Raises:
        Mismatch: it is not installed, comes from another distribution, or has other options.
    """
    listed = catalog.get(wanted.full_name, wanted.kind)
    for source in catalog.disabled:
        if source.off and source.distribution == wanted.plugin:
            message = f"The run used {wanted.title}, which is disabled by {source.off.by}."
            raise Mismatch(message, hint=source.off.undo)
    if listed is None or listed.plugin != wanted.plugin:
        raise Mismatch(
            f"The run used {wanted.title}, which is not installed.",
            hint=f"Install it: {installer.to_install(f'{wanted.plugin}=={wanted.version}')}",
        )
    given = {name: value for name, value in wanted.options.items() if value is not None}
    wrong = problems(listed.component.options, given, where=f"{wanted.kind}.")
    if wrong:
        raise Mismatch(
            f"The run used {wanted.title}, and {listed.owner} is installed: {'; '.join(wrong)}.",
            hint=f"Install {wanted.plugin}=={wanted.version}, or distrust the run folder.",
        )
    return listed


def find_same(catalog: Catalog, wanted: Wanted, described: Component) -> Listed:
    """The installed component, which must be the very one that was used.

    Args:
        catalog: what is installed.
        wanted: the component.
        described: as it was described when it was used.

    Raises:
        Mismatch: it is not installed, of another version, or described otherwise.
    """
    listed = find(catalog, wanted)
    same = listed.version == wanted.version
    if same:
        given = cast("Mapping[str, Value | None]", wanted.options)
        component, _ = specified(listed.component, given, listed.full_name)
        same = _means(component) == _means(described)
    if not same:
        raise Mismatch(
            f"{wanted.full_name} of {listed.owner} is another than the run's ({wanted.version}).",
            hint=f"Install {wanted.plugin}=={wanted.version} to go on.",
        )
    return listed


def _means(component: Component) -> Component:
    """Less what is words alone."""
    return replace(component, summary="", aliases=(), deprecated=None)
