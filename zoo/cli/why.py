"""`zoo why`: which component a name means, by which rule, and who else has the name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import console
from zoo.cli.problems import announce
from zoo.components import KINDS, Kind
from zoo.errors import UnknownName
from zoo.index import Catalog, catalog
from zoo.misses import disabled_line, unknown_anywhere
from zoo.names import Resolution, preferences, resolve, unmet
from zoo.owners import OWNERS
from zoo.spec import Part, parse, parse_part

if TYPE_CHECKING:
    from zoo.index import Listed


@click.command()
@click.argument("name")
@click.option("--json", "wants_json", is_flag=True, help="Write JSON.")
def command(*, name: str, wants_json: bool) -> None:
    """Say which component NAME means, and why: a component, an entry or a whole spec.

    zoo why resnet18
    """
    found = catalog()
    announce(found)
    spec = name if "+" in name else _entry(found, name)
    answers = [
        (kind, part, _answer(found, kind, part))
        for kind, part in (_parts(spec) if spec else _kinds(found, parse_part(name)))
    ]
    failures = [answer.error for _, _, answer in answers if isinstance(answer, Miss)]
    told = any(isinstance(answer, Resolution) or answer.losers for _, _, answer in answers)
    if not told:
        raise _all(failures)
    if wants_json:
        console.as_json([_record(*one) for one in answers])
    else:
        for one in answers:
            _print(*one)
        for source in found.disabled:
            console.note(f"Not looked at: {disabled_line(source)}.")
    if failures and (
        spec or len(failures) == len(answers)
    ):  # of a single name, it is enough that one kind has it
        raise _all(failures)


def _parts(spec: str) -> list[tuple[Kind, Part]]:
    return list(zip(KINDS, parse(spec).parts, strict=True))


def _kinds(found: Catalog, part: Part) -> list[tuple[Kind, Part]]:
    """Each kind that has, or should have, a component of that name; backbone if none does."""
    kinds = [kind for kind in KINDS if found.named(kind, part.name) or part.name in OWNERS[kind]]
    if part.namespace:
        kinds = [kind for kind in kinds if found.get(f"{part.namespace}/{part.name}", kind)]
    elif not kinds:
        raise unknown_anywhere(found, part.name)
    return [(kind, part) for kind in kinds or KINDS[:1]]


def _all(failures: list[UnknownName]) -> UnknownName:
    """One error that says all of them."""
    return UnknownName(
        "\n".join(one.message for one in failures),
        hint="\n".join(one.hint for one in failures if one.hint),
        suggestions=tuple(name for one in failures for name in one.suggestions),
    )


def _entry(found: Catalog, name: str) -> str:
    """The spec of the registry's entry of that name; empty where a component has the name."""
    from zoo import registry

    if any(found.named(kind, name) for kind in KINDS):
        return ""
    book = registry.load(shipped=found.entries_resources)
    entry = book.entry(name) if book.reason(name) else book.entries.get(name)
    if entry is None:
        return ""
    owner = f" of {entry.owner}, written in {entry.origin}" if entry.plugin else ""
    console.note(f"{name} is an entry{owner}: {entry.spec}")
    return entry.spec


@dataclass(frozen=True, slots=True)
class Miss:
    """A name that means nothing.

    Args:
        error: what a run would say.
        rule: by which a bare name means nothing although others have it; else empty.
        losers: those others, each with why it is not meant.
    """

    error: UnknownName
    rule: str = ""
    losers: tuple[tuple[Listed, str], ...] = ()


def _answer(found: Catalog, kind: Kind, part: Part) -> Resolution | Miss:
    prefer = preferences()
    try:
        return resolve(found, kind, part, prefer)
    except UnknownName as error:
        if part.namespace or not found.named(kind, part.name):
            return Miss(error)
        return Miss(error, *unmet(found, kind, part, prefer))


def _print(kind: Kind, part: Part, answer: Resolution | Miss) -> None:
    if isinstance(answer, Miss):
        console.result(f"{part} is no {kind}")
        console.result(f"  because  {answer.error.message}")
        if answer.rule:
            console.result(f"  rule     {answer.rule}")
        _print_losers(part, answer)
        return
    listed = answer.listed
    console.result(f"{part} is the {kind} {listed.full_name} of {listed.owner}")
    console.result(f"  because  {answer.rule}")
    tag = _tag(part, answer)
    if tag:
        console.result(f"  weights  {tag}{'' if part.tag else ' (the default)'}")
    console.result(f"  target   {listed.component.target}")
    _print_losers(part, answer)


def _print_losers(part: Part, answer: Resolution | Miss) -> None:
    """Who else has the name, why it is not meant, and what makes it so."""
    for other, reason in answer.losers:
        console.result(f"  not      {other.full_name} of {other.owner}: {reason}")
    if answer.losers and not part.namespace:
        lines = [f"zoo prefer {other.namespace}/{part.name}" for other, _ in answer.losers]
        console.result(f"  change   {' or '.join(lines)}")


def _tag(part: Part, answer: Resolution) -> str:
    default = answer.listed.component.default_weights()
    return part.tag or (default.tag if default else "")


def _record(kind: Kind, part: Part, answer: Resolution | Miss) -> dict[str, Any]:
    asked = {"asked": str(part), "kind": kind}
    losers = [
        {
            "name": other.full_name,
            "plugin": other.plugin,
            "version": other.version,
            "reason": reason,
        }
        for other, reason in answer.losers
    ]
    if isinstance(answer, Miss):
        error = answer.error
        missed = {"error": error.message, "hint": error.hint, "suggestions": [*error.suggestions]}
        return asked | missed | {"rule": answer.rule, "losers": losers}
    listed = answer.listed
    return asked | {
        "name": listed.full_name,
        "plugin": listed.plugin,
        "version": listed.version,
        "rule": answer.rule,
        "tag": _tag(part, answer),
        "target": listed.component.target,
        "losers": losers,
    }
