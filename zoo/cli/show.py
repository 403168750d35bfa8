"""`zoo show`: all that is known of a component, an entry or a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import encoding, registry, runfolder
from zoo.cli import console
from zoo.cli.problems import announce
from zoo.cli.records import component_record, entry_record
from zoo.cli.rows import count, side
from zoo.components import KINDS, Kind, Option, at
from zoo.errors import SpecError, UnknownName, UsageError
from zoo.index import Catalog, catalog
from zoo.misses import disabled
from zoo.names import Resolution, preferences, resolve
from zoo.near import near
from zoo.options import spelt, wants
from zoo.owners import OWNERS
from zoo.ports import defaults
from zoo.registry import Entry
from zoo.runfolder import RunFolder
from zoo.spec import Part, parse_part

if TYPE_CHECKING:
    from zoo.components import Component, Weights
    from zoo.plan import Plan

Found = Resolution | Entry


@click.command("show")
@click.argument("name")
@click.option("--kind", type=click.Choice([*KINDS, "entry"]), help="Of this kind.")
@click.option("--structure", is_flag=True, help="Build it; print modules, shapes, parameters.")
@click.option("--registry", "file", type=click.Path(path_type=Path), help="One more registry file.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
def command(
    *, name: str, kind: str | None, structure: bool, file: Path | None, as_json: bool
) -> None:
    """Show a component, an entry or a run.

    NAME is a component ([namespace/]name[.tag]), an entry of a registry or the folder of a run.
    With --structure it is a backbone, an entry or a whole spec.
    """
    if (Path(name) / runfolder.PLAN).is_file() and kind is None and not structure:
        _show_run(RunFolder(Path(name)), as_json=as_json)
        return
    everything = catalog()
    announce(everything)
    found: Found | None = None
    others: list[Kind] = []
    if not structure or "+" not in name:
        book = registry.load(file, shipped=everything.entries_resources)
        found, others = _look_up(name, kind, everything, book)
    modules = _modules(found, name, file) if structure else None
    if as_json:
        record = _record(found, name)
        console.as_json(record if modules is None else {**record, "structure": modules})
        return
    if isinstance(found, Resolution):
        _show_component(found, parse_part(name).tag)
    elif found:
        _show_entry(found)
    if modules is not None:
        console.result("\nStructure")
        columns = ("name", "module", "shape", "params")
        console.table(columns, [_module_cells(row) for row in modules], right="params")
    for other in others:
        console.note(f"There is also a {other} of that name: --kind {other}")


def _look_up(
    name: str, kind: str | None, everything: Catalog, book: registry.Registry
) -> tuple[Found, list[Kind]]:
    """What the name means (an entry before a component), and the other kinds that have it.

    Raises:
        UnknownName: there is nothing of that name; the hint has near ones.
    """
    entry = book.entries.get(name) if kind in (None, "entry") else None
    left_out = book.reason(name) if kind in (None, "entry") and not entry else ""
    try:
        part = parse_part(name)
    except SpecError:
        if entry or left_out:
            return book.entry(name), []
        raise _unknown(name, everything, book) from None
    held = [one for one in KINDS if kind in (None, one) and _held(everything, one, part)]
    if entry:
        return entry, held
    if not held:
        away = disabled(everything, part.namespace, f"{name} cannot be had: ")
        if left_out and not away:
            book.entry(name)  # says why
        raise away or _unknown(name, everything, book)
    return resolve(everything, held[0], part, preferences()), held[1:]


def _held(everything: Catalog, kind: Kind, part: Part) -> bool:
    """Whether the resolution rule has something to say of that name and kind."""
    if part.namespace:
        return everything.get(f"{part.namespace}/{part.name}", kind) is not None
    return bool(everything.named(kind, part.name)) or part.name in OWNERS[kind]


def _unknown(name: str, everything: Catalog, book: registry.Registry) -> UnknownName:
    if (Path(name) / runfolder.PLAN).is_file():
        spec = RunFolder(Path(name)).plan().spec
        return UnknownName(
            f"{name} is a run, which is shown without --structure and --kind.",
            hint=f"For the modules of its spec: zoo show {spec} --structure",
        )
    if "+" in name:
        return UnknownName(
            f"{name} is a spec; zoo show takes one of its parts, an entry or a run.",
            hint=f"To see what it would do: zoo run {name} --data PATH --dry-run",
        )
    full_names = {one.component.name: one.full_name for one in reversed(everything.listed)}
    bare = name.rpartition("/")[2].partition(".")[0]
    names = [full_names.get(one, one) for one in near(bare, [*full_names, *book.entries], count=5)]
    return UnknownName(
        f"There is no component, entry or run folder {name!r}.",
        hint=f"Near names: {', '.join(names)}." if names else "zoo list shows what there is.",
        suggestions=tuple(names),
    )


def _record(found: Found | None, name: str) -> dict[str, Any]:
    if isinstance(found, Entry):
        return entry_record(found)
    return component_record(found.listed) if found else {"kind": "spec", "name": name}


def _modules(found: Found | None, name: str, file: Path | None) -> list[dict[str, Any]]:
    """The module tree of a backbone, an entry or a spec, built on the meta device."""
    if isinstance(found, Resolution) and found.listed.kind != "backbone":
        raise UsageError(
            f"{name} is a {found.listed.kind}; its structure depends on the backbone below it.",
            hint="Name a backbone, an entry or a whole spec, such as resnet18+linear+ce.",
        )
    from zoo.structure import structure

    if isinstance(found, Resolution):  # qualified, so that no entry of the bare name is meant
        name = str(replace(parse_part(name), namespace=found.listed.namespace))
    return [
        {"name": row.name, "module": row.module, "shape": row.shape, "params": row.params}
        for row in structure(name, registry_file=file)
    ]


def _module_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    shape = f"[{', '.join(map(str, row['shape']))}]" if row["shape"] else ""
    indent = "  " * row["name"].count(".")
    return f"{indent}{row['name'] or '(whole)'}", row["module"], shape, f"{row['params']:,}"


# --- a component ---


def _show_component(found: Resolution, tag: str) -> None:
    component = found.listed.component
    console.result(f"{found.listed.kind} {found.listed.full_name} ({found.listed.owner})")
    if component.summary:
        console.result(component.summary)
    _pairs(_about(found))
    if component.options:
        console.result("\nOptions")
        console.table(
            ("option", "default", "takes", "help"),
            [_option_cells(name, option) for name, option in component.options.items()],
        )
    if component.weights:
        console.result("\nWeights")
        columns = ("tag", "", "top1", "input", "resize", "crop", "filter", "classes", "licence")
        ordered = sorted(component.weights, key=lambda one: not one.default)
        cells = [_weights_cells(one) for one in ordered if tag in ("", one.tag)]
        console.table(columns, cells, right="top1 input resize classes")


def _about(found: Resolution) -> dict[str, str]:
    component, facts = found.listed.component, found.listed.component.facts
    standard = defaults(component)
    views = at(component.views, standard)
    old = component.deprecated
    return {
        "chosen because": found.rule,
        "not": ", ".join(f"{other.full_name} ({why})" for other, why in found.losers),
        "also called": ", ".join(component.aliases),
        "deprecated": f"since {old.since}{old.use and f'; use {old.use}'}" if old else "",
        "parameters": f"{facts.params:,} ({count(facts.params)})" if facts.params else "",
        "features": str(facts.features or ""),
        "input": side(facts.input_size),
        "needs": ", ".join(at(component.needs, standard)) + _by(component, "needs"),
        "provides": ", ".join(component.provides),
        "views": f"{views}{_by(component, 'views')}" if found.listed.kind != "backbone" else "",
        "requires": ", ".join(component.requires),
    }


def _by(component: Component, fact: str) -> str:
    """The option that a fact depends on: ` (by target)`."""
    option = getattr(getattr(component, fact), "option", "")
    return f" (by {option})" if option else ""


def _option_cells(name: str, option: Option) -> tuple[str, ...]:
    default = "" if option.default is None else spelt(option.default)
    return name, default, wants(option), option.help


def _weights_cells(weights: Weights) -> tuple[str, ...]:
    preprocess = weights.preprocess
    return (
        weights.tag,
        "default" if weights.default else "",
        "" if weights.top1 is None else f"{weights.top1:.2f}",
        side(preprocess.size),
        side(preprocess.resize),
        preprocess.crop,
        preprocess.interpolation,
        str(weights.classes or ""),
        weights.licence,
    )


# --- an entry ---


def _show_entry(entry: Entry) -> None:
    whose = f"{entry.owner}, {entry.origin}" if entry.plugin else entry.origin
    console.result(f"entry {entry.name} ({whose})")
    if entry.summary:
        console.result(entry.summary)
    _pairs({"spec": entry.spec, "requires": ", ".join(entry.requires)})
    if entry.settings:
        console.result("\nSettings")
        console.table(
            ("setting", "value", "origin"),
            [(key, spelt(one.value), one.origin) for key, one in entry.settings.items()],
        )


# --- a run ---


def _show_run(run: RunFolder, *, as_json: bool) -> None:
    plan = run.plan()
    summary = _if_there(run, runfolder.SUMMARY) or {}
    ended = _if_there(run, runfolder.EXIT) or {}
    if as_json:
        record = {"plan": run.read(runfolder.PLAN), "summary": summary or None}
        console.as_json({**record, "exit": ended or None})
        return
    console.result(f"run {run.path}")
    _pairs(
        {
            "spec": plan.spec,
            "entry": plan.entry,
            "data": plan.data,
            "status": str(summary.get("status") or ended.get("status") or "not finished"),
            "because": str(ended.get("reason", "")),
            "epochs": str(sum(1 for _ in run.records())),
            **{part: _figures(summary.get(part)) for part in ("val", "test")},
            "device": _device(summary.get("device")),
        }
    )
    chosen = [
        (name, spelt(plan[name] if name in plan.settings else _option_value(plan, name)), origin)
        for name, origin in plan.origins.items()
    ]
    if chosen:
        console.result("\nSettings that were chosen")
        console.table(("setting", "value", "origin"), chosen)


def _option_value(plan: Plan, name: str) -> object:
    """The value of a component's option, written as `head.dropout`."""
    kind, _, option = name.partition(".")
    return next(one.options.get(option) for one in plan.trio if one.kind == kind)


def _if_there(run: RunFolder, name: str) -> dict[str, Any] | None:
    return run.read(name) if (run.path / name).exists() else None


def _figures(part: object) -> str:
    """`top-1 93.25 %, macro F1 93.18 %, 200 images`."""
    if not isinstance(part, Mapping):
        return ""
    rates = {"top-1": part.get("top1"), "macro F1": part.get("macro_f1")}
    texts = [
        f"{name} {100 * rate:.2f} %" for name, rate in rates.items() if isinstance(rate, float)
    ]
    return ", ".join([*texts, f"{part.get('n')} images"])


def _device(record: object) -> str:
    """`NVIDIA H100 (cuda, bf16)`."""
    if not isinstance(record, Mapping):
        return str(record or "")
    return f"{record.get('title')} ({record.get('name')}, {record.get('precision')})"


def _pairs(pairs: Mapping[str, str]) -> None:
    """Aligned lines of what is known; what is not known gets no line."""
    known = {label: text for label, text in pairs.items() if text}
    width = max(map(len, known), default=0)
    for label, text in known.items():
        console.result(f"  {label:{width}}  {encoding.line(text)}")
