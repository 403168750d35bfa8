"""`zoo plugins remove`: uninstall plugins by the installer in use."""

from __future__ import annotations

import importlib

import click

from zoo import config, installer
from zoo.cli import console
from zoo.cli.plugins.installing import carry_out
from zoo.cli.plugins.naming import meant
from zoo.errors import Unavailable
from zoo.plugins.distributions import sources


@click.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--dry-run", is_flag=True, help="Only print the command.")
def command(names: tuple[str, ...], *, dry_run: bool) -> None:
    """Uninstall plugins from this environment, by the installer that put them there.

    NAME is a distribution, a namespace or an entry point.

    zoo plugins remove acme
    """
    chosen = [*dict.fromkeys(meant(name) for name in names)]
    commands: dict[installer.Installer, list[str]] = {}
    for one in chosen:
        tool = installer.in_use(one.distribution)
        commands.setdefault(tool, []).append(one.distribution)
    for tool, distributions in commands.items():
        if dry_run:
            console.result(installer.line(tool.remove(distributions)))
        else:
            carry_out(tool.remove(distributions))
    if not dry_run:
        _tell([one.distribution for one in chosen], [one.namespace for one in chosen])


def _tell(distributions: list[str], namespaces: list[str]) -> None:
    """What is gone, and what the user's own settings still say of it."""
    importlib.invalidate_caches()
    left = {one.distribution: one for one in sources()}
    still = [left[name] for name in distributions if name in left]
    for name in distributions:
        if name not in left:
            console.result(f"{name} is gone.")
    for full_name in config.names("prefer"):
        if full_name.partition("/")[0] in namespaces:
            console.note(
                f"You prefer {full_name} still; to forget that: zoo prefer --remove {full_name}"
            )
    if still:
        told = ", ".join(f"{one.distribution} {one.version}" for one in still)
        raise Unavailable(f"Still here: {told}.", hint="Another copy may lie on the path.")
