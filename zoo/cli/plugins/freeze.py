"""`zoo plugins freeze`: requirements that recreate the installed plugins, or those of a run."""

from __future__ import annotations

from contextlib import suppress
from importlib import metadata
from pathlib import Path

import click

from zoo import installer
from zoo.cli import console

#: what the help says to write the list into
_FILE = "plugins.txt"


@click.command("freeze")
@click.option(
    "--run",
    "path",
    type=click.Path(path_type=Path),
    help="The plugins that this run was made with.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(path: Path | None, *, as_json: bool) -> None:
    """Print requirements that recreate the set: zoo plugins freeze > plugins.txt."""
    found = _of_run(path) if path else _installed()
    if as_json:
        console.as_json(found)
        return
    console.result(f"# {installer.line(installer.in_use().install_file(_FILE))}")
    for line in found:
        console.result(line)


def _installed() -> list[str]:
    """zoo, and every plugin that is installed, quarantined or not."""
    from zoo.plugins import contents
    from zoo.plugins.distributions import is_editable, sources

    found = []
    for name in (installer.HOST, *(source.distribution for source in sources())):
        with suppress(metadata.PackageNotFoundError):  # of a source folder that is not installed
            one = metadata.distribution(name)
            wanted = contents.requirement(one)
            found.append(f"-e {wanted.partition(' @ ')[2]}" if is_editable(one) else wanted)
    return [one for one in found if one != "-e "]


def _of_run(path: Path) -> list[str]:
    """zoo, the plugins of a run, and the libraries that it recorded.

    Raises:
        InputMissing: it is no run folder.
        Mismatch: what it says is damaged.
    """
    from zoo import provenance, runfolder

    found = provenance.from_json(runfolder.find(path).read(runfolder.PLAN))
    used = {name: one.requirement for name, one in found.used.items()}
    if not used:  # an older zoo wrote it
        used = {installer.HOST: f"{installer.HOST}=={found.zoo}"}
    versions = {name: f"{name}=={version}" for name, version in found.packages.items()}
    return [*(versions | used).values()]
