"""`zoo list`: what there is, filtered and sorted by what is known of it."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import registry
from zoo.cli import console
from zoo.cli.problems import announce
from zoo.components import KINDS, Facts, Weights, to_json
from zoo.errors import UsageError
from zoo.index import catalog
from zoo.near import near

if TYPE_CHECKING:
    from zoo.components import Preprocess
    from zoo.index import Listed

_CONDITION = re.compile(r"\s*(<=|>=|<|>|==?)?\s*([0-9]*\.?[0-9]+)\s*([kKmMgG]?)\s*")
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
}
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}
_PLURAL = {"backbone": "backbones", "head": "heads", "loss": "losses", "entry": "entries"}
Condition = Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list: a component or an entry.

    Args:
        kind: backbone, head, loss or entry.
        name: with its namespace.
        summary: one line.
        facts: of a backbone.
        weights: the default ones, or those of the row's tag.
        tags: the tags of all its weights, the default one in brackets.
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


@click.command("list")
@click.argument("pattern", default="")
@click.option("--kind", type=click.Choice([*KINDS, "entry"]), help="Only this kind.")
@click.option("--namespace", default="", help="Only of this plugin's namespace.")
@click.option("--params", default="", metavar="COND", help="Parameters, such as '<10M'.")
@click.option("--features", default="", metavar="COND", help="Feature width, such as '=512'.")
@click.option("--size", default="", metavar="COND", help="Input side in pixels, such as '<=224'.")
@click.option("--top1", default="", metavar="COND", help="ImageNet top-1 in %, such as '>75'.")
@click.option("--licence", default="", metavar="PATTERN", help="Licence of the default weights.")
@click.option(
    "--sort",
    type=click.Choice(["name", "params", "features", "size", "top1"]),
    help="Best first for top1, smallest first for all else, unknown last.",
)
@click.option("--tags", is_flag=True, help="One line for each weights tag.")
@click.option("--registry", "file", type=click.Path(path_type=Path), help="One more registry file.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, whole records.")
def command(  # noqa: PLR0913 - one for each option of the command
    *,
    pattern: str,
    kind: str | None,
    namespace: str,
    licence: str,
    sort: str | None,
    tags: bool,
    file: Path | None,
    as_json: bool,
    **conditions: str,
) -> None:
    """List backbones, heads, losses and entries.

    PATTERN is part of a name, or a pattern such as 'vit_*_224'. The facts of a backbone are those
    of its default weights; what is not known matches no condition.
    """
    tests = {fact: condition(fact, text) for fact, text in conditions.items() if text}
    everything = rows(file, tags=tags and not as_json)
    found = [
        row
        for row in everything
        if (kind is None or row.kind == kind)
        and (not namespace or row.name.startswith(f"{namespace}/"))
        and matches(pattern, row.name, row.name.rpartition("/")[2], *row.also)
        and (not licence or (row.weights and matches(licence, row.weights.licence)))
        and _holds(row, tests)
    ]
    if sort:
        found.sort(key=lambda row: _place(row, sort))
    if as_json:
        console.as_json([row.record() for row in found])
    elif found:
        _table(found)
        console.note(_counted(found))
    else:
        _say_nothing(pattern, everything, filtered=bool(tests or licence))


def rows(file: Path | None, *, tags: bool) -> list[Row]:
    """Everything: components in the catalog's order, then entries.

    Args:
        file: one more registry file.
        tags: one row for each weights tag in the place of its backbone's.
    """
    everything = catalog()
    announce(everything)
    book = registry.load(file, shipped=everything.entries_resources)
    for problem in book.problems:
        console.note(problem)
    components = (row for listed in everything.listed for row in _of_component(listed, tags=tags))
    return [*components, *(_of_entry(entry) for entry in book.entries.values())]


def condition(fact: str, text: str) -> Condition:
    """The test that `'<10M'` stands for; without a sign, equality.

    Raises:
        UsageError: it is no comparison with a number.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--{fact} {text!r} is no condition.",
            hint=f"Write a sign and a number, with K, M or G behind it: --{fact} '<10M'.",
        )
    compare = _COMPARE[match[1] or "="]
    bound = float(match[2]) * _UNITS[match[3].lower()]
    return lambda value: bool(compare(value, bound))


def matches(pattern: str, *texts: str) -> bool:
    """Whether a glob is all of one of the texts, or a plain pattern part of one; case is ignored."""
    wanted = pattern.lower()
    if any(sign in wanted for sign in "*?["):
        return any(fnmatchcase(text.lower(), wanted) for text in texts)
    return any(wanted in text.lower() for text in texts)


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


def entry_record(entry: registry.Entry) -> dict[str, Any]:
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


def _of_component(listed: Listed, *, tags: bool) -> Iterator[Row]:
    component = listed.component
    default = component.default_weights()
    summary = component.summary
    if component.deprecated:
        summary = f"deprecated since {component.deprecated.since}; {summary}".rstrip("; ")
    shown = component.weights if tags and component.weights else (default,)
    for weights in shown:
        number = len(component.weights)
        yield Row(
            kind=listed.kind,
            name=f"{listed.full_name}.{weights.tag}" if tags and weights else listed.full_name,
            summary=summary,
            facts=component.facts,
            weights=weights,
            tags=f"{number} ({default.tag})" if default else str(number or ""),
            also=component.aliases,
            record=lambda: component_record(listed),
        )


def _of_entry(entry: registry.Entry) -> Row:
    return Row(
        kind="entry",
        name=entry.name,
        summary=f"{entry.spec}: {entry.summary}" if entry.summary else entry.spec,
        also=(entry.spec,),
        record=lambda: entry_record(entry),
    )


def _all_fields(record: Weights | Facts | Preprocess | Any) -> dict[str, Any]:  # noqa: ANN401 - any of the frozen records
    return {
        name: _all_fields(value) if name == "preprocess" else to_json(value)
        for name in record.__slots__
        for value in (getattr(record, name),)
    }


def _holds(row: Row, tests: dict[str, Condition]) -> bool:
    known = ((row.known(fact), test) for fact, test in tests.items())
    return all(value is not None and test(value) for value, test in known)


def _place(row: Row, sort: str) -> tuple[bool, float, str]:
    """What to sort by: unknown last, ties by name."""
    value = None if sort == "name" else row.known(sort)
    signed = 0 if value is None else value
    return value is None, -signed if sort == "top1" else signed, row.name


def _table(found: Iterable[Row]) -> None:
    columns = ("kind", "name", "params", "features", "input", "top1", "tags", "licence", "summary")
    cells = [_cells(row) for row in found]
    # a column in which nothing stands would only push the others out of a narrow terminal
    used = [place for place in range(len(columns)) if any(line[place] for line in cells)]
    console.table(
        [columns[place] for place in used],
        [[line[place] for place in used] for line in cells],
        right="params features input top1",
    )


def _cells(row: Row) -> tuple[str, ...]:
    facts, top1 = row.facts, row.known("top1")
    return (
        row.kind,
        row.name,
        "" if facts.params is None else count(facts.params),
        "" if facts.features is None else str(facts.features),
        side(row.size),
        "" if top1 is None else f"{top1:.1f}",
        row.tags,
        row.weights.licence if row.weights else "",
        row.summary,
    )


def _counted(found: Iterable[Row]) -> str:
    numbers = Counter(row.kind for row in found)
    kinds = [f"{n:,} {kind if n == 1 else _PLURAL[kind]}" for kind, n in numbers.items()]
    return f"{', '.join(kinds)}. zoo show NAME tells more."


def _say_nothing(pattern: str, everything: Iterable[Row], *, filtered: bool) -> None:
    console.note(f"Nothing matches {pattern!r}." if pattern else "Nothing matches.")
    if filtered:
        console.note("What is not known of a component matches no condition.")
    like = near(pattern, (row.name.rpartition("/")[2] for row in everything)) if pattern else ()
    if like:
        console.note(f"Near names: {', '.join(like)}.")
