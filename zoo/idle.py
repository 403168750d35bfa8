"""Settings that somebody gave and that change nothing in the run at hand: which, and why.

Most settings belong to one kind of work: `momentum` to sgd, `clip` to training in steps. A setting
that is not heard must not look as if it had been, so the plan says so before anything is trained.
What contradicts another wish is refused where that wish is decided (see `zoo.phases`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import grid
from zoo.options import spelt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zoo.phases import PhasePlan
    from zoo.plan import Plan

#: names by which a probe that is the only phase may be told the same thing (see `zoo.phases`)
_TWICE = ("epochs", "lr", "weight_decay", "batch_size")
_OF_PROBES = (
    *(f"probe.{name}" for name in (*_TWICE, "solver", "sweep", "folds")),
    "views.cached",
)
_DRAWN = ("augment.crop_min", "augment.flip", "augment.jitter")

#: whether a rule holds, the settings that do nothing then, and why
_Rule = tuple[bool, tuple[str, ...], str]


def notes(plan: Plan, *, own_split: bool) -> list[str]:
    """A line for each reason, with the settings that it silences.

    Args:
        plan: settled.
        own_split: whether the data came with a validation part of its own.
    """
    named: dict[str, list[str]] = {}
    for name, why in unheard(plan, own_split=own_split).items():
        named.setdefault(why, []).append(f"{name}={spelt(plan[name])}")
    return [
        f"settings: {', '.join(names)} {'have' if len(names) > 1 else 'has'} no effect here: {why}"
        for why, names in named.items()
    ]


def unheard(plan: Plan, *, own_split: bool) -> Mapping[str, str]:
    """Why, for each setting that was given and does nothing in this plan. See `notes`."""
    found: dict[str, str] = {}
    for holds, names, why in _rules(plan, own_split=own_split):
        for name in names if holds else ():
            if name in plan.origins:
                found.setdefault(name, why)
    return found


def _rules(plan: Plan, *, own_split: bool) -> Iterator[_Rule]:
    phases = {phase.name: phase for phase in plan.phases}
    probe, full = phases.get("probe"), phases.get("full")
    if full:
        by = f"it is sgd's, and the optimiser is {full.optimizer}"
        yield full.optimizer != "sgd", ("momentum",), by
    else:
        yield from _frozen(plan)
    if probe:
        yield from _probe(plan, probe, last=not full)
    else:
        yield True, _OF_PROBES, "no probe goes before the full phase"
    yield from _views(plan)
    yield from _judging(plan, plan.phases[-1])
    yield own_split, ("val_fraction",), "the data comes with its own split"


def _frozen(plan: Plan) -> Iterator[_Rule]:
    """Of a run that leaves the backbone alone; a wish for what happens anyway is granted."""
    why = "the backbone stays frozen"
    yield True, ("head_lr_multiplier",), why
    yield plan["compile"] == "on", ("compile",), f"{why}, and only what is trained is compiled"
    yield plan["freeze_bn"] == "off", ("freeze_bn",), why


def _probe(plan: Plan, probe: PhasePlan, *, last: bool) -> Iterator[_Rule]:
    names = ("", "probe.") if last else ("probe.",)
    swept = {name for one in grid.parse(str(plan["probe.sweep"] or "")) for name in one}
    for name in sorted(swept):
        yield True, tuple(f"{prefix}{name}" for prefix in names), f"probe.sweep chooses the {name}"
    yield not swept, ("probe.folds",), "there is no probe.sweep to judge"
    if not last:
        return
    for name in _TWICE:
        yield plan[name] is not None, (f"probe.{name}",), f"{name} says it for the only phase"
    solved = probe.optimizer == "lbfgs"
    how = "the probe is solved for by L-BFGS" if solved else "a probe is trained by AdamW"
    yield plan["optimizer"] == "sgd" or solved, ("optimizer",), how
    yield True, ("momentum",), how
    steps = f"{how}, not trained in steps (--set probe.solver=epochs has it trained)"
    yield solved, ("clip", "warmup", "checkpoint.steps"), steps


def _views(plan: Plan) -> Iterator[_Rule]:
    """Of augmentation, and of how many views' features are kept."""
    still = "a frozen backbone sees each image once, as in validation, where one view is trained on"
    once = plan.frozen and plan.views == 1
    yield once and plan["augment"] == "on", ("augment",), still
    yield once, _DRAWN, still
    yield plan["augment"] == "off", (*_DRAWN, "views.cached"), "augment is off"
    yield plan.views == 1, ("views.cached",), "one view of each image is trained on"
    kept = int(plan["views.cached"] or 0)
    yield kept < plan.views, ("views.cached",), f"each step trains on {plan.views} views"


def _judging(plan: Plan, last: PhasePlan) -> Iterator[_Rule]:
    """Of the choice of an epoch."""
    judged = bool(plan.counts and plan.counts.val)
    nothing = "no image validates, so no epoch is better than another"
    yield not judged and bool(plan["patience"]), ("patience",), nothing
    yield not judged and last.select == "best", ("select",), nothing
    chosen = judged and (last.select == "best" or last.patience > 0)
    asked = plan["metric"] != "top1"
    if not _judges_settings(plan):
        why = "no epoch is chosen by a figure (see select, patience)"
        yield asked and not chosen, ("metric",), why


def _judges_settings(plan: Plan) -> bool:
    """Whether the metric decides how a sweep is judged: it weighs classes of unlike sizes."""
    tried = grid.parse(str(plan["probe.sweep"] or ""))
    unlike = plan.counts is not None and len({*plan.counts.train}) > 1
    probed = any(phase.name == "probe" for phase in plan.phases)
    return len(tried) > 1 and unlike and probed and plan["balance"] == "none"
