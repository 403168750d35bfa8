"""`zoo eval`: measure a finished run on labelled images."""

from __future__ import annotations

from pathlib import Path

import click

from zoo import encoding
from zoo.cli import console


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Labelled images.")
@click.option(
    "--split",
    type=click.Choice(["val", "train", "test", "all"]),
    help="The run's own images of a split, found by content; or all. [the run's headline]",
)
@click.option("--device", default="auto", metavar="auto|cpu|cuda|mps", help="Where to compute.")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def command(run: Path, data: Path, *, split: str | None, device: str, as_json: bool) -> None:
    """Measure RUN on labelled images, wherever they lie now."""
    from zoo import report
    from zoo.inference import changed_plugins, evaluate

    found = evaluate(run, data, split=split, device=device)
    for said in changed_plugins(run):
        console.note(said)
    for said in found["differs"]:
        console.note(f"{encoding.line(said)}: the figure may differ in its last digits")
    gone = [name for name in found["missing"] if name not in set(found["changed"])]
    for names, what in ((gone, "not in"), (found["changed"], "others of the same name in")):
        if names:
            shown = encoding.line(", ".join(names[:10]))
            more = " ..." if len(names) > 10 else ""  # noqa: PLR2004 - a line's worth
            console.note(f"{len(names)} images of the split are {what} {data}: {shown}{more}")
    if as_json:
        console.as_json(found)
        return
    console.result(report.figures(found["split"], found))
    console.table(
        ["class", "images", "precision", "recall", "F1"],
        [
            [name, str(one["n"]), *(f"{one[key]:.3f}" for key in ("precision", "recall", "f1"))]
            for name, one in found["per_class"].items()
        ],
        right="images precision recall F1",
    )
