"""From what the user typed to a plan.

`resolve` goes as far as words do: names, options, weights, views. `settle` finishes a plan when the
data and the device are known: how many epochs, which batch size, which learning rate.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo import compiling, encoding, grid, ports
from zoo.components import KINDS, Component, Kind, Preprocess, Value, Weights
from zoo.errors import BadData, InputMissing, Unavailable, UnknownName, UsageError
from zoo.index import check_requirements
from zoo.misses import disabled
from zoo.names import preferences
from zoo.names import resolve as resolve_name
from zoo.options import problems, read, refuse
from zoo.phases import decide
from zoo.plan import Chosen, DataCounts, Plan, WeightsChoice, canonical
from zoo.registry_file import Placed
from zoo.settings import SETTINGS, split_settings
from zoo.spec import EXAMPLE, Part, Spec, parse
from zoo.specify import specified

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zoo.index import Catalog
    from zoo.phases import PhasePlan
    from zoo.registry import Entry, Registry

COMMAND_LINE = "command line"
V = TypeVar("V")


def resolve(
    request: str,
    given: Mapping[str, object],
    *,
    catalog: Catalog,
    book: Registry,
    origin: str = COMMAND_LINE,
) -> Plan:
    """What the user asked for, as far as words go.

    Args:
        request: a spec, or an entry's name (no `+` in it).
        given: settings and component options (`head.dropout`) of the command line.
        catalog: all components.
        book: all entries and defaults.
        origin: what to call the place that `given` comes from.

    Raises:
        SpecError: the spec does not parse, or the trio cannot fit.
        UnknownName: a component or an entry is not there.
        UsageError: settings or options are unknown or ill-typed; all are named at once.
        Unavailable: the backbone has no weights that could be fetched, or what the entry or a
            component requires is missing or of another version.
        InputMissing: the weights file is not there.
    """
    entry = None if "+" in request else _entry(request, catalog, book)
    if entry and entry.requires:
        from zoo.plugins.requirements import refuse_unmet

        refuse_unmet(f"The entry {entry.name}", entry.requires)
    spec = parse(entry.spec if entry else request)
    placed: dict[str, Placed] = dict(book.defaults)
    placed |= entry.settings if entry else {}
    placed |= {key: Placed(value, origin) for key, value in given.items()}  # type: ignore[arg-type]
    wanted = preferences()
    found = tuple(
        resolve_name(catalog, kind, part, wanted)
        for kind, part in zip(KINDS, spec.parts, strict=True)
    )
    for one in found:
        check_requirements(one.listed)
    settings, component_options = split_settings(placed)
    teacher = Placed("", "")
    if "teacher" not in found[2].listed.component.options:
        # `loss.teacher` is the engine's own: it computes the teacher's answers for the loss.
        teacher = component_options["loss"].pop("teacher", teacher)
    _refuse_all(spec, [one.listed.component for one in found], settings, component_options)
    trio = tuple(
        Chosen(
            one.listed.kind,
            one.listed.namespace,
            one.listed.plugin,
            one.listed.version,
            _option_values(one.listed.component, part, component_options[one.listed.kind]),
            one.listed.component,
            one.rule,
        )
        for one, part in zip(found, spec.parts, strict=True)
    )
    values, origins = _setting_values(settings, component_options)
    backbone, head, loss = trio
    backbone = _specified(backbone)
    _check_ports((backbone, head, loss), catalog)
    if values["probe.solver"] == "lbfgs" and not _convex(head, loss):
        raise UsageError(
            f"probe.solver=lbfgs: {head.part()} with {loss.part()} is not known to be a convex "
            "problem of one view, so there is no one optimum to solve for.",
            hint="Leave probe.solver out, or choose parts that are, as in linear+ce.",
        )
    extras = ports.extras(loss.component, loss.options)
    weights, preprocess = _weights(backbone, spec.backbone.tag, values)
    backbone = _with_image_size(backbone, preprocess)
    plan = Plan(
        spec="",
        entry=entry.name if entry else "",
        backbone=backbone,
        head=head,
        loss=loss,
        weights=weights,
        preprocess=preprocess,
        views=ports.views(head.component, loss.component, head.options, loss.options),
        extras=extras,
        teacher=_teacher(str(teacher.value), extras, loss),
        data=str(values["data"] or ""),
        settings=values,
        origins=origins,
    )
    return replace(plan, spec=canonical(plan))


def settle(plan: Plan, counts: DataCounts, device: Mapping[str, Any], *, accelerator: bool) -> Plan:
    """Finish a plan: decide from the data and the device what the user left open.

    Raises:
        BadData: a class has no training image.
        UsageError: `balance=weights` with a loss that does not honour weights.
    """
    empty = [name for name, count in zip(counts.classes, counts.train, strict=True) if not count]
    if empty:
        raise BadData(
            f"No training image is left of: {encoding.line(', '.join(empty))}.",
            hint="Add images to these classes, or take their folders away.",
        )
    if plan["balance"] == "weights" and not plan.loss.component.weighted:
        raise UsageError(
            f"balance=weights: the loss {plan.loss.full_name} does not weigh samples.",
            hint="Use --set balance=sampler.",
        )
    phases = decide(
        plan.settings,
        images=counts.images,
        accelerator=accelerator,
        pretrained=plan.weights.mode != "none",
        layout=plan.backbone.component.facts.layout,
        has_val=counts.val > 0,
        features=plan.backbone.component.facts.features,
        convex=_convex(plan.head, plan.loss),
    )
    plan = replace(plan, counts=counts, device=dict(device))
    return replace(plan, phases=tuple(_compiled(plan, phase) for phase in phases))


def _compiled(plan: Plan, phase: PhasePlan) -> PhasePlan:
    """A phase, decided whether its backbone is compiled; a frozen one never is.

    Its features must be those that the finished model gives.
    """
    if phase.name == "probe":
        return phase
    assert plan.counts is not None  # noqa: S101 - settled before
    facts = plan.backbone.component.facts
    warm = compiling.is_warm(compiling.key(plan, phase))
    wanted, why = compiling.choose(
        str(plan.settings.get("compile", "off")),
        str(plan.device.get("name", "")).partition(":")[0],
        phase.epochs * plan.counts.images * plan.views,
        compiling.break_even(facts.layout, facts.params, plan.preprocess.size, warm=warm),
    )
    reasons = {**phase.reasons, "compile": why} if why else phase.reasons
    return replace(phase, compile=wanted, reasons=reasons)


def _option_values(
    component: Component, part: Part, placed: Mapping[str, Placed]
) -> dict[str, Value | None]:
    """Every option: `--set` and the entry's keys before what the spec says, then the default."""
    given: dict[str, object] = dict(part.options)
    given |= {name: one.value for name, one in placed.items()}
    return {
        name: read(option, given[name]) if name in given else option.default
        for name, option in component.options.items()
    }


def _entry(name: str, catalog: Catalog, book: Registry) -> Entry:
    """The entry of that name; a component's name alone is answered with what is missing."""
    away = disabled(catalog, name.partition("/")[0], f"{name} cannot be had: ")
    if away and "/" in name and name not in book.entries:
        raise away
    parts = [one for kind in KINDS for one in catalog.named(kind, name.rpartition("/")[2])]
    if parts and name not in book.entries:
        kind = parts[0].kind
        raise UnknownName(
            f"{name} is a {kind}, one of the three parts backbone+head+loss.",
            hint=f"Write all three, for example {name}+linear+cekl."
            if kind == "backbone"
            else f"Write all three, for example {EXAMPLE}.",
        )
    return book.entry(name)


def _refuse_all(
    spec: Spec,
    components: Sequence[Component],
    settings: Mapping[str, Placed],
    options: Mapping[Kind, Mapping[str, Placed]],
) -> None:
    """One error for everything that is wrong with settings and options, wherever it was written."""
    found: list[str] = []
    # One table, so that `dropout` is answered with `head.dropout`.
    known = SETTINGS | _dotted(
        {kind: component.options for kind, component in zip(KINDS, components, strict=True)}
    )
    for name, one in {**settings, **_dotted(options)}.items():
        place = "" if one.origin == COMMAND_LINE else f"{one.origin}: "
        found += problems(known, {name: one.value}, where=place)
        if name == "probe.sweep" and isinstance(one.value, str):
            found += [f"{place}{wrong}" for wrong in grid.problems(one.value)]
    for kind, component, part in zip(KINDS, components, spec.parts, strict=True):
        for name, text in part.options:
            where = f"{kind} {component.name}: "
            found += problems(component.options, {name: text}, where=where)
    refuse(found)


def _dotted(options: Mapping[Kind, Mapping[str, V]]) -> dict[str, V]:
    """Options by kind under the names that `--set` knows them by: `head.dropout`."""
    return {f"{kind}.{name}": one for kind in KINDS for name, one in options[kind].items()}


def _setting_values(
    settings: Mapping[str, Placed], options: Mapping[Kind, Mapping[str, Placed]]
) -> tuple[dict[str, Value | None], dict[str, str]]:
    values = {
        name: read(option, settings[name].value) if name in settings else option.default
        for name, option in SETTINGS.items()
    }
    origins = {name: one.origin for name, one in settings.items()}
    origins |= {name: one.origin for name, one in _dotted(options).items()}
    return values, origins


def _specified(backbone: Chosen) -> Chosen:
    component, options = specified(backbone.component, backbone.options, backbone.title)
    return replace(backbone, component=component, options=options)


def _with_image_size(backbone: Chosen, preprocess: Preprocess) -> Chosen:
    """Tell a backbone that must know its input's size when it is built, where it is not its own."""
    options, usual = backbone.options, backbone.component.facts.input_size
    if "img_size" not in options or options["img_size"] or preprocess.size == usual:
        return backbone
    return replace(backbone, options={**options, "img_size": preprocess.size[0]})


def _check_ports(trio: tuple[Chosen, Chosen, Chosen], catalog: Catalog) -> None:
    backbone, head, loss = trio
    ports.check(
        (backbone.component, head.component, loss.component),
        (backbone.options, head.options, loss.options),
        heads={one.full_name: one.component for one in catalog.of("head")},
        losses={one.full_name: one.component for one in catalog.of("loss")},
    )


def _convex(head: Chosen, loss: Chosen) -> bool:
    """Whether a probe of these has one optimum to solve for."""
    return ports.convex(head.component, loss.component, head.options, loss.options)


def _weights(
    backbone: Chosen, tag: str, values: Mapping[str, Value | None]
) -> tuple[WeightsChoice, Preprocess]:
    component, wanted = backbone.component, str(values["weights"])
    weights = component.tagged(tag) if tag else component.default_weights()
    size = (
        backbone.options.get("img_size") if values["image_size"] is None else values["image_size"]
    )
    preprocess = _preprocess(component, weights, size)
    if wanted == "none":
        return WeightsChoice("none", tag), preprocess
    if wanted != "default":
        file = Path(wanted).expanduser()
        if not file.is_file():
            raise InputMissing(
                f"--weights {wanted}: there is no such file.",
                hint="Use --weights default, --weights none, or a path to a weights file.",
            )
        return WeightsChoice("file", tag, file=str(file.resolve())), preprocess
    if weights is None or not weights.source:
        raise Unavailable(
            f"{backbone.full_name} has no pretrained weights that can be fetched.",
            hint="Use --weights FILE, or --weights none to train from random weights.",
        )
    return WeightsChoice("tag", weights.tag, weights.source, weights.sha256), preprocess


def _preprocess(component: Component, weights: Weights | None, size: Value | None) -> Preprocess:
    found = weights.preprocess if weights else Preprocess()
    if weights is None and component.facts.input_size:
        found = found.resized(component.facts.input_size[0])
    return found.resized(int(size)) if size is not None else found


def _teacher(teacher: str, extras: tuple[str, ...], loss: Chosen) -> str:
    wanted = "teacher_logits" in extras
    if wanted and not teacher:
        raise UsageError(
            f"The loss {loss.full_name} needs a teacher: a finished run with the same classes.",
            hint="Add --set loss.teacher=runs/NAME.",
        )
    if teacher and not wanted:
        raise UsageError(
            f"loss.teacher is given, and the loss {loss.full_name} takes no teacher.",
            hint="Choose cekl:target=teacher, or leave loss.teacher out.",
        )
    return str(Path(teacher).expanduser().resolve()) if teacher else ""
