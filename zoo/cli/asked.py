"""Settings of a run as options of every command that makes a plan: `--lr 0.1`, `--set K=V`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.settings import assignments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: setting → metavar and help; the option is called as the setting is
OPTIONS = {
    "data": (
        "PATH",
        "Class folders, perhaps in train/, val/, test/; a CSV or Parquet table; demo.",
    ),
    "epochs": ("N", "Epochs of the last phase."),
    "train": ("auto|probe|full|lpft", "What is trained."),
    "weights": ("default|none|FILE", "What the backbone starts from."),
    "device": ("auto|cpu|cuda|mps", "Where to compute."),
    "precision": ("auto|fp32|bf16", "What numbers to compute with."),
    "batch_size": ("N", "Images per step."),
    "lr": ("X", "Peak learning rate."),
    "image_size": ("N", "Side of the square input, pixels."),
    "metric": (
        "top1|macro_f1",
        "The figure that chooses an epoch; macro_f1 also weighs classes alike in a sweep.",
    ),
    "seed": ("N", "Seed of split, order, augmentation and head."),
    "bad_images": ("refuse|skip", "What to do with unreadable images."),
}
Command = Any  # what click's decorators take and give


def taking(*settings: str) -> Callable[[Command], Command]:
    """A command with an option for each of these settings, `--set` and `--registry`."""
    options = [
        click.option(f"--{name.replace('_', '-')}", metavar=OPTIONS[name][0], help=OPTIONS[name][1])
        for name in settings
    ]
    options += [
        click.option(
            "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any setting or option."
        ),
        click.option("--registry", type=click.Path(path_type=Path), help="One more registry.toml."),
    ]

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def given(options: Mapping[str, Any]) -> dict[str, object]:
    """The settings that were asked for, those of `--set` included; an option of their own wins.

    Raises:
        UsageError: `--set` without a key and a value, or twice of one key.
    """
    short = {name: value for name, value in options.items() if name in OPTIONS}
    return {
        **assignments(options["sets"]),
        **{name: value for name, value in short.items() if value is not None},
    }
