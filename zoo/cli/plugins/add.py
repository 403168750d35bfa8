"""`zoo plugins add`: install plugins by the installer in use, and say what appeared."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from zoo import index, installer
from zoo.cli import console
from zoo.cli.plugins.installing import carry_out
from zoo.cli.problems import announce
from zoo.components import KINDS
from zoo.errors import PluginFault, UsageError
from zoo.plugins import children, requirements  # noqa: F401 - what they are read from may be replaced
from zoo.plugins.loader import Offer, offers

if TYPE_CHECKING:
    from collections.abc import Iterable

#: names that a line has room for
_SHOWN = 6


@click.command("add")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--dry-run", is_flag=True, help="Only print the command.")
def command(names: tuple[str, ...], *, dry_run: bool) -> None:
    """Install plugins into this environment, by the installer that made it.

    NAME is what the installer takes: zoo-acme, 'zoo-acme>=0.3', ./zoo-acme, a wheel. A namespace
    alone does not do: type the distribution's name.

    zoo plugins add zoo-acme
    """
    for name in names:
        if name.startswith("-"):
            hint = "Options of the installer are for the installer: --dry-run prints its command."
            raise UsageError(f"{name} is no plugin.", hint=hint)
    wanted = installer.in_use().install(names)
    if dry_run:
        console.result(installer.line(wanted))
        return
    before = {(one.source.distribution, one.source.version) for one in offers()}
    carry_out(wanted)
    importlib.invalidate_caches()
    found = offers()
    new = [one for one in found if (one.source.distribution, one.source.version) not in before]
    _tell(new, names)
    fresh = tuple(one.source.distribution for one in new)
    announce(replace(index.assemble(found), fresh=fresh))
    out = [one.source.distribution for one in new if one.problem and one.problem.quarantined]
    if out:
        raise PluginFault(f"Quarantined: {', '.join(out)}.", hint="zoo plugins shows why.")


def _tell(new: Iterable[Offer], names: Iterable[str]) -> None:
    """What each new plugin brings."""
    new = [*new]
    for one in new:
        owner = f"{one.source.distribution} {one.source.version}"
        if one.source.off:
            console.note(f"{owner} is installed, and disabled by {one.source.off.by}.")
        elif one.problem is None or not one.problem.quarantined:
            console.result(f"{owner} brings {_brought(one)}")
    if not new:
        told = " ".join(names)
        console.note(f"Nothing new appeared: {told} was here before, or is no plugin of zoo.")


def _brought(offer: Offer) -> str:
    named = [
        f"{offer.source.namespace}/{one.name}"
        for kind in KINDS
        for one in offer.components.get(kind, ())
    ]
    more = f" and {len(named) - _SHOWN} more" if named[_SHOWN:] else ""
    files = [re.sub(".*:", "", entry) for entry in offer.entries]
    return ", ".join([*named[:_SHOWN], *files]) + more or "observers or nothing"
