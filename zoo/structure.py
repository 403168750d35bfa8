"""What `zoo show --structure` prints: a component, a spec or an entry, built on the meta device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import hot, registry
from zoo.draft import makers
from zoo.index import catalog
from zoo.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from zoo.training.structure import StructureRow

#: what completes a bare backbone to a spec
_REST = "+heads/linear+losses/ce"


def structure(
    name: str, options: Mapping[str, object] | None = None, *, registry_file: Path | None = None
) -> list[StructureRow]:
    """The module tree of a backbone, a spec or an entry, with output shapes and parameters.

    Args:
        name: what to build.
        options: settings and component options, such as `{"image_size": 384}`.
        registry_file: one more registry.toml.

    Raises:
        ZooError: it cannot be named or built.
    """
    components = catalog()
    book = registry.load(registry_file, shipped=components.entries_resources)
    whole = "+" in name or name in book.entries
    spec = name if whole else f"{name}{_REST}"
    given = {"weights": "none", **(options or {})}
    plan = resolve(spec, given, catalog=components, book=book)
    build = hot.room("structure")
    if whole:
        return build.trio(makers(plan), plan.preprocess.size, plan.views)  # type: ignore[no-any-return]
    return build.backbone(makers(plan)[0], plan.preprocess.size)  # type: ignore[no-any-return]
