"""`zoo plugins new`: a package to begin with, for a backbone, a head or a loss of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo import installer, scaffold
from zoo.cli import console
from zoo.components import KINDS
from zoo.plugins.distributions import sources

if TYPE_CHECKING:
    from zoo.components import Kind


@click.command("new")
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    required=True,
    help="What it shall offer; may be given more than once.",
)
@click.option(
    "--into", type=click.Path(path_type=Path), help="Folder to make; ./zoo-NAME if not given."
)
@click.option("--json", "wants_json", is_flag=True, help="Write JSON.")
def command(name: str, *, kinds: tuple[Kind, ...], into: Path | None, wants_json: bool) -> None:
    """Write a package that offers a backbone, a head or a loss of your own.

    It works as it stands: with a small component, its tests, and all that it takes to be published.

    zoo plugins new acme --kind head
    """
    wanted = scaffold.package(name, kinds, [one.distribution for one in sources()])
    folder = into or Path(wanted.distribution)
    files = scaffold.write(wanted, folder.absolute())
    steps = _next(wanted, folder)
    if wants_json:
        console.as_json(
            {
                "distribution": wanted.distribution,
                "namespace": wanted.namespace,
                "module": wanted.module,
                "components": wanted.components,
                "folder": str(folder),
                "files": list(files),
                "next": steps,
            }
        )
        return
    for file in files:
        console.result(str(folder / file))
    offered = ", ".join(wanted.components.values())
    console.note(f"{wanted.distribution} offers {offered}. Install it, use it, test it:")
    for step in steps:
        console.note(f"  {step}")


def _next(wanted: scaffold.Package, folder: Path) -> list[str]:
    """The commands that install the package and its tester, train with it and run its tests."""
    tool = installer.in_use()
    place = str(folder) if folder.is_absolute() else f"./{folder}"
    return [
        *map(installer.line, tool.develop(place, scaffold.TESTER)),
        f"zoo run {wanted.spec} --data demo{wanted.how}",
        installer.line((*tool.python, "-m", "pytest", place)),
    ]
