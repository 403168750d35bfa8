"""`zoo list`: what there is, filtered and sorted by what is known of it."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

import click

from zoo.cli import console, listing
from zoo.cli.rows import Row, count, side
from zoo.errors import UsageError

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
_COLUMNS = ("kind", "name", "params", "features", "input", "top1", "tags", "licence", "summary")
#: what a narrow terminal does without, first to go first
_DISPENSABLE = ("tags", "licence", "kind", "features", "input")
#: characters that a summary needs at least, to be wrapped within
_SUMMARY = 24
Condition = Callable[[float], bool]


@click.command("list")
@click.argument("pattern", default="")
@click.option("--kind", type=click.Choice([*_PLURAL]), help="Only this kind.")
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
@click.option("--registry", "file", type=click.Path(), help="One more registry file.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, whole records.")
def command(  # noqa: PLR0913 - one for each option of the command
    *,
    pattern: str,
    kind: str | None,
    namespace: str,
    licence: str,
    sort: str | None,
    tags: bool,
    file: str | None,
    as_json: bool,
    **conditions: str,
) -> None:
    """List backbones, heads, losses and entries.

    PATTERN is part of a name, or a pattern such as 'vit_*_224'. The facts of a backbone are those
    of its default weights; what is not known matches no condition.
    """
    tests = {fact: condition(fact, text) for fact, text in conditions.items() if text}
    everything = listing.rows("records" if as_json else "tags" if tags else "rows", file)
    found = [
        row
        for row in everything
        if (kind is None or row.kind == kind)
        and (not namespace or row.name.startswith(f"{namespace}/"))
        and matches(pattern, row.name, row.name.rpartition("/")[2], *row.also)
        and (not licence or (row.licence is not None and matches(licence, row.licence)))
        and _holds(row, tests)
    ]
    if sort:
        found.sort(key=lambda row: _place(row, sort))
    if as_json:
        console.as_json_array([row.record for row in found])
    elif found:
        _table(found)
        console.note(_counted(found))
        if sort and sort != "name" and all(row.known(sort) is None for row in found):
            console.note(f"None of them states its {sort}, so they are sorted by name.")
    else:
        _say_nothing(pattern, everything, filtered=bool(tests or licence))


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
    """Whether a glob is all of one of the texts, or a plain word part of one; case is ignored."""
    wanted = pattern.lower()
    if any(sign in wanted for sign in "*?["):
        return any(fnmatchcase(text.lower(), wanted) for text in texts)
    return any(wanted in text.lower() for text in texts)


def _holds(row: Row, tests: dict[str, Condition]) -> bool:
    known = ((row.known(fact), test) for fact, test in tests.items())
    return all(value is not None and test(value) for value, test in known)


def _place(row: Row, sort: str) -> tuple[bool, float, str]:
    """What to sort by: unknown last, ties by name."""
    value = None if sort == "name" else row.known(sort)
    signed = 0 if value is None else value
    return value is None, -signed if sort == "top1" else signed, row.name


def _table(found: Iterable[Row]) -> None:
    cells = [_cells(row) for row in found]
    used = fitting(cells, _width())
    console.table(
        [_COLUMNS[place] for place in used],
        [[line[place] for place in used] for line in cells],
        right="params features input top1",
    )


def _width() -> int | None:
    """Characters of the terminal; None in a pipe."""
    if not console.is_terminal():
        return None
    from shutil import get_terminal_size

    return get_terminal_size().columns


def fitting(cells: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """The places of the columns to show: those with something in them, as many as fit.

    Args:
        cells: lines of as many cells as there are columns.
        width: characters of the terminal, None in a pipe; the name is never cut to fit, and a
            summary may be wrapped.
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    used = [place for place, longest in enumerate(widths) if longest]
    widths[-1] = min(widths[-1], _SUMMARY)
    for name in _DISPENSABLE:
        place = _COLUMNS.index(name)
        room = sum(max(widths[one], len(_COLUMNS[one])) + 3 for one in used)
        if width is not None and room > width and place in used:
            used.remove(place)
    return used


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.kind,
        row.name,
        "" if row.params is None else count(row.params),
        "" if row.features is None else str(row.features),
        side(row.size),
        "" if row.top1 is None else f"{row.top1:.1f}",
        row.tags,
        row.licence or "",
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
    from zoo.near import near

    like = near(pattern, (row.name.rpartition("/")[2] for row in everything)) if pattern else ()
    if like:
        console.note(f"Near names: {', '.join(like)}.")
