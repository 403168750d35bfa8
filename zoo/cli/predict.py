"""`zoo predict`: classify images with a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo import encoding
from zoo.cli import console
from zoo.errors import BadData

if TYPE_CHECKING:
    from zoo.inference import Answers

_COLUMNS = ("file", "class", "probability")


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--csv", "as_csv", is_flag=True, help="CSV: file, class, probability.")
@click.option("--json", "as_json", is_flag=True, help="JSON, with every class's probability.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda|mps", help="Where to compute.")
def command(
    run: Path, images: tuple[Path, ...], *, as_csv: bool, as_json: bool, device: str
) -> None:
    """Classify IMAGES (files and folders) with RUN, a run folder or a copy of its model."""
    from zoo.inference import changed_plugins, predict

    found = predict(run, images, device=device)
    for said in changed_plugins(run):
        console.note(said)
    if as_json:
        console.as_json(
            [
                {
                    "file": str(path),
                    "class": one.label,
                    "probability": one.probability,
                    "probabilities": one.probabilities,
                }
                for path, one in zip(found.paths, found.predictions, strict=True)
            ]
        )
    elif as_csv:
        console.as_csv([_COLUMNS, *_rows(found, digits=6)])
    else:
        console.table(_COLUMNS, _rows(found, digits=4), right="probability")
    if found.problems:
        lines = "\n".join(
            f"  {encoding.line(str(path))}: {reason}" for path, reason in found.problems
        )
        raise BadData(
            f"{len(found.problems)} of the files cannot be read:\n{lines}",
            hint="Mend or remove them; what is said of the others holds.",
        )


def _rows(found: Answers, *, digits: int) -> list[tuple[str, str, str]]:
    return [
        (str(path), one.label, f"{one.probability:.{digits}f}")
        for path, one in zip(found.paths, found.predictions, strict=True)
    ]
