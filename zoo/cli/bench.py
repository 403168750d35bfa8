"""`zoo bench`: how fast a run would be on this machine, and what would hold it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo.cli import console
from zoo.cli.asked import given, taking

if TYPE_CHECKING:
    from zoo.speed import Rate

#: settings that have an option of their own
_TAKEN = (
    *("data", "train", "weights", "device", "precision", "batch_size", "image_size"),
    "bad_images",
)


@click.command("bench")
@click.argument("spec")
@taking(*_TAKEN)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="What each measurement takes, about. [3]",
)
@click.option("--json", "as_json", is_flag=True, help="The measurements as JSON.")
def command(spec: str, **options: Any) -> None:  # noqa: ANN401 - click passes what is declared above
    """Measure how fast training SPEC on some images would be, and what would hold it up.

    zoo bench resnet18+linear+cekl --data ./imgs

    Nothing is trained or kept. Files are decoded anew, whatever is decoded already; steps are
    those of zoo run, on the images and on one batch that stays on the device (the headspace), in
    turns. Training is fed where the images make it no slower than 97 % of the headspace. Images
    that the cache has no room for count as decoded in every epoch.
    """
    from zoo.benching import SECONDS, bench
    from zoo.cli.progress import listener

    found = bench(
        spec,
        seconds=options["seconds"] or SECONDS,
        registry_file=options["registry"],
        listener=listener(),
        settings=given(options),
    )
    if options["as_json"]:
        console.as_json(found.to_json())
        return
    for line in found.heading():
        console.result(line)
    console.table(
        ["measured", "median", "min", "max", "unit", "blocks", "steps", "batch", "threads"],
        [_row(name, rate) for name, rate in found.rates().items()],
        right="median min max blocks steps batch threads",
    )
    for line in found.words():
        console.result(line)


def _row(name: str, rate: Rate) -> list[str]:
    """A rate as cells."""
    figures = [f"{one:,.1f}" for one in (rate.median, rate.low, rate.high)]
    counts = [str(one) for one in (rate.blocks, rate.steps, rate.batch, rate.threads)]
    return [name, *figures, rate.unit, *counts]
