"""From installed distributions to offers: the cached record of each plugin, or a fresh survey."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from zoo import encoding, folders, installer
from zoo.components import Component, Kind, component_from_json
from zoo.errors import StorageFault
from zoo.files import write_bytes
from zoo.plugins.basis import stamp, times
from zoo.plugins.distributions import Source, sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from zoo.plugins.basis import Stamp

#: seconds that a plugin may take to be surveyed; one that surveys its library may need 20
LIMIT = 60.0
#: records kept of one plugin: as many environments and versions share a cache without rebuilding
_KEPT = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """A plugin that is out, or that is in but costs its users something.

    Args:
        distribution: whose.
        version: likewise.
        reason: one line.
        detail: traceback and output; may be empty.
        quarantined: whether nothing of it is in the catalog.
        wants: requirements that would mend it if they were installed.
    """

    distribution: str
    version: str
    reason: str
    detail: str = ""
    quarantined: bool = True
    wants: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The one line that every command shows; of one that is out, with the line to type."""
        state = f" is quarantined: {self.reason} ({self.remedy}; " if self.quarantined else ""
        told = state or f": {self.reason} ("
        return encoding.line(f"{self.distribution} {self.version}{told}zoo plugins shows more)")

    @property
    def remedy(self) -> str:
        """What to type, for the installer in use."""
        if self.wants:
            return f"to mend it: {installer.to_install(*self.wants)}"
        return f"to remove it: {installer.to_remove(self.distribution)}"


@dataclass(frozen=True, slots=True)
class Offer:
    """What one plugin brings, or why it brings nothing.

    Args:
        source: the distribution; where it is disabled, all else is empty.
        components: kind → components, each checked at the door.
        entries: package resources with registry entries, each `"package:file.toml"`.
        seconds: that importing the plugin took when it was surveyed.
        heavy: modules among torch, timm and the like that listing it imported.
        problem: set when there is something to tell; the rest is empty if it is quarantined.
        record: file and stamp of the record that it was read from; None if it was made just now.
    """

    source: Source
    components: Mapping[Kind, tuple[Component, ...]] = field(default_factory=dict)
    entries: tuple[str, ...] = ()
    seconds: float = 0.0
    heavy: tuple[str, ...] = ()
    problem: Problem | None = None
    record: tuple[str, Stamp] | None = field(default=None, compare=False)


def offers(path: Sequence[str] | None = None, *, limit: float = LIMIT) -> tuple[Offer, ...]:
    """One offer per installed plugin, by distribution name; no plugin's fault is raised.

    One that is refused or disabled is not imported.

    Args:
        path: folders to look for distributions in; `sys.path` if None.
        limit: seconds that each plugin without a cached record gets in its child process.
    """
    found = sources(path)
    records = {source: _cached(source) for source in found if source.asked}
    fresh = [source for source, record in records.items() if record is None]
    if fresh:
        records |= _surveyed(fresh, limit)
    return tuple(_offer(source, records.get(source)) for source in found)


def forget_failures() -> None:
    """Survey every plugin again that was quarantined, whatever the reason was."""
    for file in (folders.cache() / "catalog").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(file.read_bytes())["problem"]:
                file.unlink()


def _offer(source: Source, record: Mapping[str, Any] | None) -> Offer:
    who = source.distribution, source.version
    if source.off:
        return Offer(source)
    if record is None:
        return Offer(source, problem=Problem(*who, source.refused))
    if record["problem"]:
        told = record["problem"]
        wants = tuple(told.get("wants", ()))
        wrong = Problem(*who, told["reason"], told["detail"], wants=wants)
        return Offer(source, problem=wrong, record=record.get("read"))
    heavy = tuple(record["heavy"])
    said = []
    if heavy:
        said.append(f"listing it imports {', '.join(heavy)}, which takes seconds")
    if source.hidden:
        said.append(
            f"it is installed twice; {source.version} counts, and not {', '.join(source.hidden)}"
        )
    return Offer(
        source,
        components=record["components"],
        entries=tuple(record["entries"]),
        seconds=record["seconds"],
        heavy=heavy,
        problem=Problem(*who, "; ".join(said), quarantined=False) if said else None,
        record=record.get("read"),
    )


def _understood(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its components as such; any error means that it cannot be used."""
    components = {
        kind: tuple(component_from_json(one) for one in listed)
        for kind, listed in record["components"].items()
    }
    return record | {"components": components}


def _surveyed(fresh: Sequence[Source], limit: float) -> dict[Source, dict[str, Any]]:
    """Survey plugins in child processes, and keep what was found.

    One whose requirements are not met is not even begun with.
    """
    from zoo.plugins import requirements
    from zoo.plugins.child import failure
    from zoo.plugins.children import survey

    faults = {source: requirements.fault(source.distribution) for source in fresh}
    out = [(source, failure(**wrong)) for source, wrong in faults.items() if wrong]
    records = {}
    for source, record in chain(out, survey([one for one in fresh if not faults[one]], limit)):
        _keep(source, record)
        records[source] = _understood(record)
    return records


# --- the cache ---


def _file(source: Source) -> Path:
    name = f"{source.distribution}-{source.fingerprint[:16]}.json"
    return folders.cache() / "catalog" / name


def _cached(source: Source) -> dict[str, Any] | None:
    """The record of an earlier survey; None if there is none that still holds or can be read."""
    file = _file(source)
    read = str(file), stamp(str(file))
    try:
        record = json.loads(file.read_bytes())
        if record["fingerprint"] != source.fingerprint:
            return None
        if record["problem"] and record["surroundings"] != _surroundings():
            return None
        return _understood(record) | {"read": read}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _surroundings() -> str:
    """Changes when anything is installed or removed: then a plugin that failed is tried again."""
    told = "\n".join(f"{folder} {changed}" for folder, changed in times(sys.path))
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()


def _keep(source: Source, record: dict[str, Any]) -> None:
    """Write a record for the next command; where that cannot be, the next one surveys again."""
    if record["problem"] and not record["problem"]["lasting"]:
        return
    file = _file(source)
    stamped = record | {"fingerprint": source.fingerprint, "surroundings": _surroundings()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, json.dumps(stamped, separators=(",", ":")).encode("ascii"))
        kept = file.parent.glob(f"{source.distribution}-{'[0-9a-f]' * 16}.json")
        for old in sorted(kept, key=lambda one: one.stat().st_mtime)[:-_KEPT]:
            old.unlink()
    except (StorageFault, OSError):
        pass
