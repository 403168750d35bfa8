"""`zoo plugins enable`: let a plugin in again that was disabled."""

from __future__ import annotations

import click

from zoo import config
from zoo.cli import console
from zoo.errors import UsageError
from zoo.plugins.distributions import called, normalised, sources


@click.command("enable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def command(names: tuple[str, ...]) -> None:
    """Let plugins in again that `zoo plugins disable` left out.

    NAME is a distribution, a namespace or an entry point; it need not be installed any more.

    zoo plugins enable acme
    """
    disabled = config.names("disabled")
    installed = {one.distribution: one for one in sources()}
    chosen: list[str] = []
    for name in names:
        itself = [one for one in disabled if normalised(one) == normalised(name)]
        meant = {one.distribution for one in called(name, [*installed.values()])}
        found = itself or [one for one in disabled if normalised(one) in meant]
        if not found:
            there = f"Disabled are: {', '.join(disabled)}." if disabled else "None is disabled."
            raise UsageError(f"No disabled plugin is called {name!r}.", hint=there)
        chosen += found
    config.write_names("disabled", [one for one in disabled if one not in chosen])
    for name in chosen:
        console.note(f"{name} is enabled.")
        source = installed.get(normalised(name))
        still = source.off if source and source.off and source.off.by != "config.toml" else None
        if still:
            console.note(f"It is disabled by {still.by} all the same. {still.undo}")
