"""What a run does in which order, and the numbers it does it with: steps, not blind epochs.

The defaults suit 200 images as well as 200,000; each decided value keeps its reason. Where a number
comes from experience, the source stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from zoo import grid
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.components import Value

#: optimiser steps of a full phase: enough for a handful of images, bounded for very many (BiT's
#: rule is 500 steps below 20,000 images; VTAB trains 1,000 images for 2,500)
FULL_STEPS = (500, 10_000)
#: passes over the data that a full phase makes between those bounds
FULL_PASSES = 20
#: optimiser steps of a probe: features are resident, a step costs a fraction of a millisecond
PROBE_STEPS = (500, 10_000)
PROBE_PASSES = 100
#: steps that a probe of few epochs takes at least, by smaller batches. Measured over ten epochs of
#: 800 and 1,227 images, ten seeds each: 250 to 380 steps are a point better than 60 to 90
PROBE_LEAST_STEPS = 250
#: weight decay of a probe per root of the feature width. AdamW with decay w holds every weight
#: within 1/w, so the decay is what logistic regression calls C. Measured on features of unit size
#: of photographs, 5 to 170 a class, and on rotated, widened, sparse and outlier-ridden versions of
#: them: this is level with a tuned C from 256 to 4,096 features, a tenth of it loses up to 4 points
#: (cekl, some hundred images), ten times as much up to 10. The learning rate hardly matters.
PROBE_DECAY = 1 / 3
#: weight decay of a probe that is solved for, per feature: the objective is the mean loss plus
#: decay/2 · |W|², which is what logistic regression with C = 1 / (decay · images) minimises. It
#: grows with the width since doubling every feature must change nothing. Measured with ce and cekl
#: on two sets of photographs, 5 to 240 a class, 320 to 4,096 features: half or twice of it is
#: within a point, and five folds inside the training part choose as much of it (cekl) or half (ce).
SOLVER_DECAY = 1 / 12_800
#: above this many images, steps on small batches come near the optimum before a solver has
#: looked at all of them a hundred times
SOLVER_IMAGES = 100_000
#: what only epochs have: whoever sets one of these wants epochs
EPOCHS_OWN = ("epochs", "lr", "batch_size", "select", "patience")
#: values of them that a solver meets as well: its one epoch is the last, and none is cut short
_MET: Mapping[str, Value] = {"select": "last", "patience": 0}
#: the feature width to go by where a backbone does not state its own
USUAL_WIDTH = 1_280
#: below this many images, batch norm statistics of a fine-tuned batch are worse than ImageNet's
FEW_IMAGES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """One phase, settled.

    Args:
        name: `probe` (the head on frozen features) or `full` (everything).
        epochs: at most.
        batch_size: samples per step.
        optimizer: `adamw` or `sgd`; or `lbfgs`, which solves for the optimum on all images at once:
            its only epoch is the solution.
        lr: peak learning rate of the backbone; of the head in a probe.
        head_lr: peak learning rate of the head and the loss.
        weight_decay: of matrices.
        patience: epochs without improvement before stopping; 0 for never.
        select: `last` or `best`.
        freeze_bn: batch norm keeps its pretrained statistics.
        compile: the backbone is compiled before it is trained.
        reasons: why, for each value that the engine decided.
    """

    name: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    head_lr: float
    weight_decay: float
    patience: int
    select: str
    freeze_bn: bool = False
    compile: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)

    def steps_per_epoch(self, images: int) -> int:
        """Optimiser steps of an epoch; a last batch of one sample joins the one before it."""
        whole, rest = divmod(images, self.batch_size)
        return max(1, whole + (rest > 1 or (rest == 1 and whole == 0)))

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return {**asdict(self), "reasons": dict(self.reasons)}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> PhasePlan:
        """The inverse of `to_json`."""
        return PhasePlan(**record)


class _Choices:
    """Takes each value from the settings, or decides it and notes why.

    A probe goes by `probe.NAME`, the last phase by `NAME`; a probe that is the last by either.
    """

    def __init__(self, settings: Mapping[str, Value | None], *prefixes: str) -> None:
        self.settings = settings
        self.prefixes = prefixes
        self.reasons: dict[str, str] = {}

    def take(self, name: str, decided: Value, why: str) -> Any:  # noqa: ANN401 - as decided
        """The setting, else what is decided."""
        for prefix in self.prefixes:
            if self.settings.get(f"{prefix}{name}") not in (None, "auto"):
                return self.settings[f"{prefix}{name}"]
        self.reasons[name] = why
        return decided


def decide(  # noqa: PLR0913 - one fact each
    settings: Mapping[str, Value | None],
    *,
    images: int,
    accelerator: bool,
    pretrained: bool,
    layout: str,
    has_val: bool,
    features: int | None = None,
    convex: bool = False,
) -> tuple[PhasePlan, ...]:
    """The phases of a run.

    Args:
        settings: every setting; None or `auto` where it is for us to decide.
        images: in the training part.
        accelerator: whether the device is made for training whole networks.
        pretrained: whether the backbone starts from weights.
        layout: the backbone's: `conv`, `token` or unknown.
        has_val: whether there is a validation part.
        features: width of the backbone's features; None where it is not stated.
        convex: whether a probe of these parts has one optimum to solve for.

    Raises:
        UsageError: a solver is wanted, and what only epochs have as well.
    """
    train, why = which(settings, accelerator=accelerator, pretrained=pretrained)
    phases = []
    if train in ("probe", "lpft"):
        last, width = train == "probe", features or USUAL_WIDTH
        solved, reasons = _solver(settings, images, convex=convex, last=last)
        phase = (
            _solved(settings, images, width, last=last)
            if solved
            else _probe(settings, images, width, last=last, has_val=has_val)
        )
        phases.append(replace(phase, reasons={**phase.reasons, **reasons}))
    if train in ("full", "lpft"):
        phases.append(_full(settings, images, pretrained, layout, has_val=has_val))
    first = phases[0]
    reasons = {**first.reasons, **({"train": why} if why else {})}
    phases[0] = replace(first, reasons=reasons)
    return tuple(phases)


def which(
    settings: Mapping[str, Value | None], *, accelerator: bool, pretrained: bool
) -> tuple[str, str]:
    """`probe`, `full` or `lpft`, and why; the reason is empty when the user chose."""
    train = str(settings["train"])
    if train != "auto":
        return train, ""
    if not pretrained:
        return "full", "random weights have no features worth probing"
    if accelerator:
        return "lpft", "an accelerator fine-tunes the whole network from the probe's head"
    return "probe", "on a CPU the whole network would take too long; --train lpft does it anyway"


def _prefixes(*, last: bool) -> tuple[str, ...]:
    """What a probe's settings are called by."""
    return ("", "probe.") if last else ("probe.",)


def _solver(
    settings: Mapping[str, Value | None], images: int, *, convex: bool, last: bool
) -> tuple[bool, Mapping[str, str]]:
    """Whether a probe is solved for, and why; no reason where the user chose.

    What of the user's other wishes decided it, or reads otherwise for it, is the reason `solver`.

    Raises:
        UsageError: it shall be, and what only epochs have is set as well.
    """
    wants = _of_epochs(settings, last=last)
    wanted = settings.get("probe.solver")
    sweep = str(settings.get("probe.sweep") or "")
    if wanted == "lbfgs":
        swept = {name for one in grid.parse(sweep) for name in one} - {"weight_decay"}
        found = [*wants, *(f"a sweep of {name}" for name in sorted(swept))]
        if found:
            raise UsageError(
                f"probe.solver=lbfgs solves for the optimum on all images at once: it has no use "
                f"for {', '.join(found)}.",
                hint="Leave that out, or use --set probe.solver=epochs.",
            )
        return True, {}
    if wanted != "auto" or not convex:
        return False, {}
    wants += ["a sweep"] if sweep else []
    wants += [f"more than {SOLVER_IMAGES:,} images"] if images > SOLVER_IMAGES else []
    if wants:
        told = f"trained in epochs and not solved for by L-BFGS, because of {', '.join(wants)}"
        return False, {"solver": told}
    why = {"optimizer": "the head and the loss make a convex problem: this is its one optimum"}
    if any(settings.get(f"{prefix}weight_decay") is not None for prefix in _prefixes(last=last)):
        why["solver"] = (
            "solved for by L-BFGS: weight_decay is that of the mean loss + decay/2 · |W|², and not "
            "AdamW's (--set probe.solver=epochs)"
        )
    return True, why


def _of_epochs(settings: Mapping[str, Value | None], *, last: bool) -> list[str]:
    """The settings that only epochs can do as they say."""
    names = {f"{prefix}{name}": name for prefix in _prefixes(last=last) for name in EPOCHS_OWN}
    found = sorted(
        full
        for full, name in names.items()
        if settings.get(full) not in (None, "auto", _MET.get(name, "auto"))
    )
    return [*found, *(["balance=sampler"] if settings.get("balance") == "sampler" else [])]


def _solved(
    settings: Mapping[str, Value | None], images: int, width: int, *, last: bool
) -> PhasePlan:
    choices = _Choices(settings, *_prefixes(last=last))
    decay = choices.take(
        "weight_decay", float(f"{SOLVER_DECAY * width:.3g}"), "measured: a 12,800th per feature"
    )
    return PhasePlan(
        name="probe",
        epochs=1,
        batch_size=images,
        optimizer="lbfgs",
        lr=1.0,
        head_lr=1.0,
        weight_decay=decay,
        patience=0,
        select="last",
        reasons=choices.reasons,
    )


def _probe(
    settings: Mapping[str, Value | None], images: int, width: int, *, last: bool, has_val: bool
) -> PhasePlan:
    choices = _Choices(settings, *_prefixes(last=last))
    # Measured on 800 and 1,227 images, five seeds each, dropout, two views too: over all the epochs
    # that a probe takes, a quarter is as accurate as an eighth, for half the steps. Ten epochs of
    # it are too few steps: a point less.
    passes = int(choices.take("epochs", PROBE_PASSES, ""))
    least = images * passes / PROBE_LEAST_STEPS
    batch = choices.take(
        "batch_size",
        _power_of_two(min(images / 4, least), 8, 256),
        f"{'a quarter' if images / 4 <= least else f'some {PROBE_LEAST_STEPS} steps'} of {images}"
        " images, 8 to 256",
    )
    per_epoch = max(1, images // batch)
    steps = min(max(PROBE_PASSES * per_epoch, PROBE_STEPS[0]), PROBE_STEPS[1])
    epochs = choices.take(
        "epochs", max(1, round(steps / per_epoch)), f"about {steps} steps on stored features"
    )
    lr = choices.take("lr", 1e-3, "measured: features are scaled to unit size")
    return PhasePlan(
        name="probe",
        epochs=epochs,
        batch_size=batch,
        optimizer="adamw",
        lr=lr,
        head_lr=lr,
        weight_decay=choices.take(
            "weight_decay",
            round(PROBE_DECAY * math.sqrt(width), 2),
            "measured: a third of the root of the feature width",
        ),
        patience=_patience(settings, last=last, has_val=has_val),
        select=choices.take("select", "last", "the validation part stays untouched by choices")
        if last
        else "last",
        reasons=choices.reasons,
    )


def _full(
    settings: Mapping[str, Value | None],
    images: int,
    pretrained: bool,  # noqa: FBT001 - private
    layout: str,
    *,
    has_val: bool,
) -> PhasePlan:
    choices = _Choices(settings, "")
    batch = choices.take(
        "batch_size", _power_of_two(images / 4, 4, 64), f"a quarter of {images} images, 4 to 64"
    )
    per_epoch = max(1, images // batch)
    steps = min(max(FULL_PASSES * per_epoch, FULL_STEPS[0]), FULL_STEPS[1])
    optimizer = choices.take("optimizer", "adamw", "suits convolutions and tokens alike")
    lr = choices.take("lr", _full_rate(optimizer, layout, pretrained), "usual for this optimiser")
    # A head, be it a probe's, knows these images alone and has farther to go than what all its
    # features come from.
    multiplier = choices.take("head_lr_multiplier", 10.0 if pretrained else 1.0, "usual")
    return PhasePlan(
        name="full",
        epochs=choices.take("epochs", max(1, round(steps / per_epoch)), f"about {steps} steps"),
        batch_size=batch,
        optimizer=optimizer,
        lr=lr,
        head_lr=lr * multiplier,
        weight_decay=choices.take("weight_decay", 5e-4 if optimizer == "sgd" else 0.05, "usual"),
        patience=_patience(settings, last=True, has_val=has_val),
        select=choices.take("select", "best" if has_val else "last", "whole networks overfit"),
        freeze_bn=choices.take(
            "freeze_bn",
            "on" if pretrained and images < FEW_IMAGES else "off",
            f"pretrained statistics are better below {FEW_IMAGES} images",
        )
        == "on",
        reasons=choices.reasons,
    )


def _full_rate(optimizer: str, layout: str, pretrained: bool) -> float:  # noqa: FBT001 - private
    if optimizer == "sgd":
        return 1e-2 if pretrained else 5e-2
    if not pretrained:
        return 1e-3
    return 5e-5 if layout == "token" else 1e-4


def _patience(settings: Mapping[str, Value | None], *, last: bool, has_val: bool) -> int:
    wanted = cast("int | None", settings.get("patience"))
    return int(wanted or 0) if last and has_val else 0


def _power_of_two(wanted: float, low: int, high: int) -> int:
    size = low
    while size * 2 <= min(wanted, high):
        size *= 2
    return size
