"""`zoo resume`: go on with a run that was stopped."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.run import show


@click.command("resume")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", metavar="PATH", help="Where the run's images lie now, if they were moved.")
@click.option(
    "--accept-drift",
    is_flag=True,
    help="Although the device or the precision that it began with cannot be had here.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def command(run: Path, *, data: str | None, accept_drift: bool, as_json: bool) -> None:
    """Go on with RUN, the folder of a run that was stopped, from its newest checkpoint."""
    from zoo.cli.progress import listener
    from zoo.corridor import resume

    done = resume(run, data=data, accept_drift=accept_drift, listener=listener())
    show(done, as_json=as_json)
