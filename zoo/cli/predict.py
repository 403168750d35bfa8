"""`zoo predict`: classify images with a finished run."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli import console
from zoo.errors import BadData

if TYPE_CHECKING:
    from zoo.inference import Answers

#: a cell that begins with one of these would be computed by a spreadsheet
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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
    from zoo.inference import predict

    found = predict(run, images, device=device)
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
        sys.stdout.write(_csv(found))
    else:
        console.table(
            ["file", "class", "probability"],
            [
                [str(path), one.label, f"{one.probability:.4f}"]
                for path, one in zip(found.paths, found.predictions, strict=True)
            ],
            right="probability",
        )
    if found.problems:
        lines = "\n".join(f"  {path}: {reason}" for path, reason in found.problems)
        raise BadData(f"{len(found.problems)} of the files cannot be read:\n{lines}")


def _csv(found: Answers) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["file", "class", "probability"])
    for path, one in zip(found.paths, found.predictions, strict=True):
        writer.writerow([_cell(str(path)), _cell(one.label), f"{one.probability:.6f}"])
    return text.getvalue()


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula and no terminal for a command."""
    shown = console.safe(text).replace("\n", "\\n")
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
