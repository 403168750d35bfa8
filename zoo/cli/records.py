"""Components and entries as rows of the list and as records of `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo import encoding
from zoo.cli.rows import Row
from zoo.components import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.cli.rows import View
    from zoo.components import Facts, Option, Preprocess, Weights
    from zoo.index import Listed
    from zoo.registry import Entry


def of_component(listed: Listed, view: View) -> Iterator[Row]:
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
        params=component.facts.params,
        features=component.facts.features,
        size=component.facts.input_size,
        tags=f"{len(component.weights)} ({default.tag})" if default else "",
        also=component.aliases,
        record=encoding.json_item(component_record(listed)) if view == "records" else "",
    )
    if view != "tags" or not component.weights:
        yield row if default is None else _with(row, default)
        return
    for weights in component.weights:
        mark = "default" if weights.default else ""
        yield _with(row, weights)._replace(name=f"{row.name}.{weights.tag}", tags=mark)


def _with(row: Row, weights: Weights) -> Row:
    """The row with what only weights have."""
    return row._replace(size=weights.preprocess.size, top1=weights.top1, licence=weights.licence)


def of_entry(entry: Entry, view: View) -> Row:
    """The row of an entry; a plugin's says whose it is."""
    said = f"{entry.spec}: {entry.summary}" if entry.summary else entry.spec
    return Row(
        kind="entry",
        name=entry.name,
        summary=f"{said} ({entry.owner})" if entry.plugin else said,
        also=(entry.spec,),
        record=encoding.json_item(entry_record(entry)) if view == "records" else "",
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
        "plugin": entry.plugin or None,
        "version": entry.version or None,
        "summary": entry.summary,
        "facts": {},
        "weights": [],
        "spec": entry.spec,
        "requires_plugins": list(entry.requires),
        "settings": {
            key: {"value": placed.value, "origin": placed.origin}
            for key, placed in entry.settings.items()
        },
        "origin": entry.origin,
    }


def _all_fields(record: Weights | Facts | Option | Preprocess) -> dict[str, Any]:
    """Every field of a frozen record, those at their default too."""
    return {
        name: _all_fields(value) if name == "preprocess" else to_json(value)
        for name in record.__slots__
        for value in (getattr(record, name),)
    }
