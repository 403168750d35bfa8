"""Components and entries as rows of a table and as records of `--json`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zoo.components import Facts, Weights, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo.components import Option, Preprocess
    from zoo.index import Listed
    from zoo.registry import Entry


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list: a component or an entry.

    Args:
        kind: backbone, head, loss or entry.
        name: with its namespace.
        summary: one line.
        facts: of a backbone.
        weights: the default ones, or those of the row's tag.
        tags: how many tags its weights have, and the default one; or whether this one is it.
        also: other texts that a pattern may match: aliases, an entry's spec.
        record: as `--json` has it.
    """

    kind: str
    name: str
    summary: str
    record: Callable[[], dict[str, Any]]
    facts: Facts = field(default_factory=Facts)
    weights: Weights | None = None
    tags: str = ""
    also: tuple[str, ...] = ()

    def known(self, fact: str) -> float | None:
        """The number behind a filter or a sort order; None where it is not known."""
        if fact == "top1":
            return self.weights.top1 if self.weights else None
        if fact == "size":
            return max(self.size) if self.size else None
        return self.facts.params if fact == "params" else self.facts.features

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the input, pixels."""
        return self.weights.preprocess.size if self.weights else self.facts.input_size


def of_component(listed: Listed, *, tags: bool) -> Iterator[Row]:
    """The row of a component, or one for each of its weights tags."""
    component = listed.component
    default = component.default_weights()
    summary = component.summary
    if component.deprecated:
        summary = f"deprecated since {component.deprecated.since}; {summary}".rstrip("; ")
    row = Row(
        kind=listed.kind,
        name=listed.full_name,
        summary=summary,
        facts=component.facts,
        weights=default,
        tags=f"{len(component.weights)} ({default.tag})" if default else "",
        also=component.aliases,
        record=lambda: component_record(listed),
    )
    if not tags or not component.weights:
        yield row
        return
    for weights in component.weights:
        mark = "default" if weights.default else ""
        yield replace(row, name=f"{row.name}.{weights.tag}", weights=weights, tags=mark)


def of_entry(entry: Entry) -> Row:
    """The row of an entry."""
    return Row(
        kind="entry",
        name=entry.name,
        summary=f"{entry.spec}: {entry.summary}" if entry.summary else entry.spec,
        also=(entry.spec,),
        record=lambda: entry_record(entry),
    )


def component_record(listed: Listed) -> dict[str, Any]:
    """A component as `--json` has it; every key is always there."""
    component = listed.component
    return {
        "kind": listed.kind,
        "namespace": listed.namespace,
        "name": component.name,
        "plugin": listed.plugin,
        "version": listed.version,
        "summary": component.summary,
        "facts": _all_fields(component.facts),
        "weights": [_all_fields(weights) for weights in component.weights],
        "options": {name: _all_fields(option) for name, option in component.options.items()},
        "provides": list(component.provides),
        "needs": to_json(component.needs),
        "views": to_json(component.views),
        "aliases": list(component.aliases),
        "deprecated": to_json(component.deprecated),
    }


def entry_record(entry: Entry) -> dict[str, Any]:
    """An entry as `--json` has it, with the keys that all kinds have."""
    namespace, _, name = entry.name.rpartition("/")
    return {
        "kind": "entry",
        "namespace": namespace,
        "name": name,
        "plugin": None,
        "version": None,
        "summary": entry.summary,
        "facts": {},
        "weights": [],
        "spec": entry.spec,
        "settings": {
            key: {"value": placed.value, "origin": placed.origin}
            for key, placed in entry.settings.items()
        },
        "origin": entry.origin,
    }


def count(number: float) -> str:
    """Large numbers as people say them: 11.2M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if number >= unit:
            return f"{number / unit:.3g}{letter}"
    return f"{number:g}"


def side(size: tuple[int, int] | None) -> str:
    """An input size: 224, or 224x256 (height x width)."""
    if size is None:
        return ""
    return f"{size[0]}" if size[0] == size[1] else f"{size[0]}x{size[1]}"


def _all_fields(record: Weights | Facts | Option | Preprocess) -> dict[str, Any]:
    """Every field of a frozen record, those at their default too."""
    return {
        name: _all_fields(value) if name == "preprocess" else to_json(value)
        for name in record.__slots__
        for value in (getattr(record, name),)
    }
