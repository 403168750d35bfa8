"""One registry file: what it says, each value with its origin, and all that is wrong with it.

`zoo.registry` puts the files together. The table of settings also writes the JSON Schema with which
an editor completes and checks such a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.components import KINDS, NAME, Option, Value
from zoo.errors import SpecError
from zoo.options import did_you_mean, problems, read, wants
from zoo.settings import SETTINGS
from zoo.spec import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo import toml

SCHEMA = 1
BUILT_IN = "built in"
ENTRY_NAME = re.compile(r"[a-z][a-z0-9_-]*")
#: what an entry says beside settings
OWN = {
    "spec": Option(type="str", help="backbone+head+loss"),
    "summary": Option(type="str", help="one line: what it is good for"),
    "extends": Option(type="str", help="the entry whose spec and settings this one starts from"),
    "requires_plugins": Option(
        type="str", help="plugins that it takes, with their versions: zoo-timm>=0.3"
    ),
}
#: the key whose value is a list; it is kept as lines of a text, as all values are plain
REQUIRES = "requires_plugins"
#: what may stand in an entry
_KNOWN = SETTINGS | OWN


class Placed(NamedTuple):
    """A value and where it was written: `"built in"`, `"registry.toml:12"`."""

    value: Value
    origin: str


@dataclass(slots=True)
class Layer:
    """One file, read and judged: its values, where its entries stand, all that is wrong with it."""

    defaults: dict[str, Placed] = field(default_factory=dict)
    entries: dict[str, dict[str, Placed]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def judge(document: toml.Document) -> Layer:
    """The file's values, and one sentence with file and line for each thing wrong with it."""
    layer = Layer()
    schema = document.values.get("schema")
    if schema != SCHEMA or not isinstance(schema, int) or isinstance(schema, bool):
        layer.problems.append(f"{document.at('schema')}: the file must say schema = {SCHEMA}")
    for key, table in document.values.items():
        if key not in ("schema", "defaults", "entries"):
            near = did_you_mean(key, ("schema", "defaults", "entries"))
            layer.problems.append(f"{document.at(key)}: {key} is not known{near}")
        elif key != "schema" and not isinstance(table, dict):
            layer.problems.append(f"{document.at(key)}: {key} wants a table")
        elif key == "defaults":
            layer.defaults = _keys(document, ("defaults",), table, layer.problems)
        elif key == "entries":
            layer.entries = _entries(document, table, layer.problems)
            layer.places = {name: document.at("entries", name) for name in layer.entries}
    return layer


def _entries(
    document: toml.Document, tables: Mapping[str, Any], found: list[str]
) -> dict[str, dict[str, Placed]]:
    entries = {}
    for name, table in tables.items():
        where = document.at("entries", name)
        if not ENTRY_NAME.fullmatch(name):
            found.append(f"{where}: an entry's name is [a-z][a-z0-9_-]*, not {name!r}")
        elif not isinstance(table, dict):
            found.append(f"{where}: {name} wants a table: [entries.{name}]")
        else:
            entries[name] = _keys(document, ("entries", name), table, found)
    return entries


def _keys(
    document: toml.Document, place: tuple[str, ...], table: Mapping[str, Any], found: list[str]
) -> dict[str, Placed]:
    """The table's keys, dotted (`probe.epochs`), with what is wrong with them put into `found`."""
    keys = {}
    for path, written in _flat(table):
        origin, key = document.at(*place, *path), ".".join(path)
        wrong = _wrong(key, written, in_entry=place[0] == "entries")
        value = "\n".join(map(str, written)) if isinstance(written, list) else written
        found += [f"{origin}: {problem}" for problem in wrong]
        # a spec that does not parse is still there for those that extend it: one problem, not two
        if not wrong or key in OWN:
            option = _KNOWN.get(key)
            shown = BUILT_IN if document.label == BUILT_IN else origin
            keys[key] = Placed(value if wrong or option is None else read(option, value), shown)
    return keys


def _flat(
    table: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths and values of a table; what is nested deeper than any setting stays a table."""
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, dict) and len(path) < 3:  # noqa: PLR2004 - kind.option.more at most
            yield from _flat(value, path)
        else:
            yield path, value


def _wrong(key: str, value: object, *, in_entry: bool) -> list[str]:
    """What is wrong with one key of an entry or of the defaults."""
    kind, _, option = key.partition(".")
    if key == REQUIRES and in_entry:
        return _unmeant(value)
    if kind in KINDS:
        if not in_entry:
            return [f"{key} belongs into an entry: each {kind} has its own options"]
        if not NAME.fullmatch(option) or not isinstance(value, (bool, int, float, str)):
            return [f"{key} is no option of a {kind} with a plain value"]
        return []
    known = _KNOWN if in_entry else SETTINGS
    if isinstance(value, str) and key in known and known[key].type != "str":
        # the command line has only text, a file has types
        return [f"{key} wants {wants(known[key])}, not text in quotes"]
    wrong = problems(known, {key: value})
    return wrong or (_unparsed(str(value)) if key == "spec" else [])


def _unmeant(value: object) -> list[str]:
    """What is wrong with a list of requirements."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return [f'{REQUIRES} wants a list such as ["zoo-timm>=0.3"], not {value!r:.60}']
    from packaging.requirements import InvalidRequirement, Requirement

    wrong = []
    for one in value:
        try:
            Requirement(one)
        except InvalidRequirement:
            wrong.append(f"{REQUIRES}: {one!r} is not a requirement such as zoo-timm>=0.3")
    return wrong


def _unparsed(spec: str) -> list[str]:
    """Why the spec does not parse, its column mark kept in place."""
    try:
        parse(spec)
    except SpecError as error:
        indented = error.message.rstrip(".").replace("\n", "\n    ")
        return [f"spec does not parse:\n    {indented}"]
    return []


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 7) of a registry file; `zoo/registry.schema.json` holds its text."""
    settings = _nested({key: _value_schema(option) for key, option in SETTINGS.items()})
    anything = {"type": "object", "additionalProperties": {"type": ["boolean", "number", "string"]}}
    entry = {key: _value_schema(option) for key, option in OWN.items()} | settings
    entry[REQUIRES] = {
        "type": "array",
        "description": OWN[REQUIRES].help,
        "items": {"type": "string"},
    }
    entry |= {kind: {"description": f"options of the {kind}"} | anything for kind in KINDS}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "zoo registry",
        "type": "object",
        "required": ["schema"],
        "additionalProperties": False,
        "properties": {
            "schema": {"const": SCHEMA},
            "defaults": {"type": "object", "additionalProperties": False, "properties": settings},
            "entries": {
                "type": "object",
                "propertyNames": {"pattern": f"^{ENTRY_NAME.pattern}$"},
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": entry,
                },
            },
        },
    }


def _value_schema(option: Option) -> dict[str, Any]:
    types = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}
    parts = {
        "type": types[option.type],
        "description": option.help,
        "default": option.default,
        "enum": list(option.choices) or None,
        "minimum": option.minimum,
        "maximum": option.maximum,
    }
    return {key: part for key, part in parts.items() if part is not None}


def _nested(flat: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """`probe.epochs` as a property of the table `probe`; `augment` is a word or a table."""
    nested = {key: schema for key, schema in flat.items() if "." not in key}
    tables: dict[str, dict[str, Any]] = {}
    for key, schema in flat.items():
        table, dot, name = key.partition(".")
        if dot:
            tables.setdefault(table, {})[name] = schema
    for table, properties in tables.items():
        schema = {"type": "object", "additionalProperties": False, "properties": properties}
        nested[table] = {"anyOf": [nested[table], schema]} if table in nested else schema
    return nested
