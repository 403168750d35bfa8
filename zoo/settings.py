"""Every setting of a run, as one flat table: name → type, default, range, one line of help.

A default of None means that the plan decides from the data and the device, and records why. Options
of the three components are written beside the settings as `backbone.KEY`, `head.KEY`, `loss.KEY`;
what is legal there is the component's own business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from zoo.components import KINDS, Kind, Option
from zoo.options import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

V = TypeVar("V")


def _choice(about: str, *choices: str) -> Option:
    """Words, the first of which is the default."""
    return Option(type="str", default=choices[0], choices=choices, help=about)


def _whole(about: str, low: int, high: int | None = None, *, default: int | None = None) -> Option:
    return Option(type="int", default=default, minimum=low, maximum=high, help=about)


def _number(
    about: str, low: float, high: float | None = None, *, default: float | None = None
) -> Option:
    return Option(type="float", default=default, minimum=low, maximum=high, help=about)


_DEVICES = ("auto", "cpu", "cuda", "mps", *(f"cuda:{index}" for index in range(16)))

SETTINGS: dict[str, Option] = {
    # what is trained, and for how long
    "train": _choice(
        "probe: the head on a frozen backbone; full: everything; lpft: probe, then everything",
        "auto",
        "probe",
        "full",
        "lpft",
    ),
    "epochs": _whole("epochs of the last phase", 1, 100_000),
    "probe.epochs": _whole("epochs of the probe before a full phase", 1, 100_000),
    "patience": _whole(
        "epochs without a better validation figure before stopping; 0: never stop early", 0, 100_000
    ),
    "select": _choice("which epoch's weights are kept", "auto", "last", "best"),
    "metric": _choice(
        "the validation figure that chooses the epoch; with macro_f1 each class counts the same in"
        " what a sweep is judged by, too",
        "top1",
        "macro_f1",
    ),
    "probe.solver": _choice(
        "how a probe is trained: by epochs of AdamW, or to the optimum by L-BFGS where the head and"
        " the loss make a convex problem; auto: L-BFGS there, but epochs for what only they have"
        " (epochs, lr, batch_size, patience, select=best, balance=sampler), for a sweep, and for"
        " more than 100,000 images",
        "auto",
        "epochs",
        "lbfgs",
    ),
    "probe.sweep": Option(
        type="str",
        default="",
        help="lr and weight_decay of the probe, of which held-out images of the training part"
        " choose: lr:1e-4..1e-2,weight_decay:1/10 tries 5 x 2; 256 settings at most",
    ),
    "probe.folds": _whole(
        "folds of the training part that a sweep is judged by; 1: a fifth of it is held out once",
        1,
        20,
        default=1,
    ),
    # the optimiser
    "optimizer": _choice("the optimiser", "auto", "adamw", "sgd"),
    "lr": _number("peak learning rate of the last phase", 0, 100),
    "probe.lr": _number("peak learning rate of the probe", 0, 100),
    "head_lr_multiplier": _number(
        "the head's learning rate in the full phase, as a multiple of lr", 0, 10_000
    ),
    "weight_decay": _number("weight decay of the last phase", 0, 100),
    "probe.weight_decay": _number("weight decay of the probe", 0, 100),
    "momentum": _number("momentum of sgd", 0, 0.999, default=0.9),
    "warmup": _number(
        "share of the steps over which the learning rate rises", 0, 0.5, default=0.05
    ),
    "clip": _number("largest norm of the gradient; 0: no clipping", 0, default=1.0),
    "batch_size": _whole("images per step of the last phase", 1, 65_536),
    "probe.batch_size": _whole("images per step of the probe", 1, 65_536),
    "freeze_bn": _choice(
        "keep batch norm statistics as pretrained in the full phase", "auto", "on", "off"
    ),
    # the data
    "data": Option(
        type="str", help="folder or table of images; demo: a small set that zoo draws itself"
    ),
    "val_fraction": _number(
        "share of each class that validates, where the data has no split", 0.01, 0.9, default=0.2
    ),
    "bad_images": _choice("what to do when images cannot be read", "refuse", "skip"),
    "links": _choice("what to do about links that lead out of the data folder", "refuse", "follow"),
    "balance": _choice(
        "against unbalanced classes: weigh the loss, or draw rare classes more often",
        "none",
        "weights",
        "sampler",
    ),
    "image_size": _whole(
        "side of the square input in pixels; the weights' own when not given", 16, 4096
    ),
    "augment": _choice("random crop, flip and colour jitter of training images", "on", "off"),
    "augment.crop_min": _number(
        "smallest share of an image's area that a crop keeps", 0.01, 1, default=0.25
    ),
    "augment.flip": _number("probability of a horizontal flip", 0, 1, default=0.5),
    "augment.jitter": _number(
        "strength of the change of brightness, contrast and saturation", 0, 1, default=0.2
    ),
    "views.cached": _whole(
        "augmented views whose features a probe caches for each image, where it needs several",
        1,
        64,
        default=8,
    ),
    # the machine
    "weights": Option(
        type="str", default="default", help="default: the tag's; none: random; else a weights file"
    ),
    "device": Option(type="str", default="auto", choices=_DEVICES, help="where to compute"),
    "precision": _choice(
        "arithmetic of the backbone; auto: bf16 on CUDA devices that have it and on "
        "processors with matrix units (AMX)",
        "auto",
        "fp32",
        "bf16",
    ),
    "channels_last": _choice("memory layout of convolutional networks", "auto", "on", "off"),
    "compile": _choice(
        "compile the backbone before the whole network is trained; auto: on CUDA, where the images "
        "left make up for the time it takes",
        "auto",
        "on",
        "off",
    ),
    "workers": _whole("processes that decode images; 0: as many as there are cores", 0, 1024),
    "seed": _whole(
        "seed of the split, the order, the augmentation and the head", 0, 2**32 - 1, default=0
    ),
    "deterministic": Option(
        type="bool", default=False, help="only operations that repeat bit for bit"
    ),
    "checkpoint.seconds": _number("most seconds between checkpoints", 0, default=30.0),
    "checkpoint.steps": _whole(
        "most steps between checkpoints; 0: seconds alone decide", 0, default=0
    ),
}


def split_settings(given: Mapping[str, V]) -> tuple[dict[str, V], dict[Kind, dict[str, V]]]:
    """Settings of the run, and options of the components by kind, apart.

    `{"lr": 1, "head.dropout": 0.1}` gives `({"lr": 1}, {"head": {"dropout": 0.1}, ...})`; every
    kind is there, and no name is judged.
    """
    settings: dict[str, V] = {}
    options: dict[Kind, dict[str, V]] = {kind: {} for kind in KINDS}
    for key, value in given.items():
        kind, _, option = key.partition(".")
        if kind in KINDS:
            options[kind][option] = value
        else:
            settings[key] = value
    return settings, options


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """What `--set key=value ...` says; values stay text, since only the key's owner can read them.

    Raises:
        UsageError: naming every text without "=" or without a key, and every key given twice.
    """
    given: dict[str, str] = {}
    found = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            found.append(f"--set {text} is not key=value")
        elif key.strip() in given:
            found.append(f"--set {key.strip()} is given twice")
        else:
            given[key.strip()] = value
    refuse(found)
    return given
