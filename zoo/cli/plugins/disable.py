"""`zoo plugins disable`: leave a plugin out from now on, without uninstalling it."""

from __future__ import annotations

import click

from zoo import config
from zoo.cli import console
from zoo.cli.plugins.naming import meant


@click.command("disable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def command(names: tuple[str, ...]) -> None:
    """Leave plugins out from now on: they are neither imported nor asked.

    NAME is a distribution, a namespace or an entry point. Noted in your config.toml.

    zoo plugins disable acme
    """
    sources = [meant(name) for name in names]
    before = config.names("disabled")
    new = [one for one in dict.fromkeys(sources) if one.distribution not in before]
    config.write_names("disabled", [*before, *(one.distribution for one in new)])
    for one in sources:
        told = "is disabled" if one in new else "was disabled before"
        console.note(
            f"{one.distribution} {one.version} {told}; to have it again: "
            f"zoo plugins enable {one.distribution}"
        )
