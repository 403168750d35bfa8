"""`zoo data`: what zoo keeps of images and weights."""

from __future__ import annotations

from dataclasses import asdict

import click

from zoo import caches, folders
from zoo.cli import console


@click.group("data")
def command() -> None:
    """Show and clear what zoo keeps of images and weights."""


@command.command("cache")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--clear", is_flag=True, help="Remove the named caches, or all.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def cache(names: tuple[str, ...], *, clear: bool, as_json: bool) -> None:
    """Show the caches and their sizes, or clear them.

    All of it can be made or fetched again; ZOO_CACHE_LIMIT says how many GB of decoded images and
    features are kept (50).
    """
    cleared = caches.clear(names) if clear else None
    found = caches.caches() if clear else caches.caches_named(names)
    if as_json:
        record = {"path": str(folders.cache()), "caches": [asdict(one) for one in found]}
        told = {"freed": cleared.bytes, "in_use": cleared.in_use} if cleared else {}
        console.as_json(record | told)
        return
    if cleared:
        console.note(f"{cleared.bytes / 1e6:,.1f} MB freed.")
        if cleared.in_use:
            console.note(f"in use, left alone: {', '.join(cleared.in_use)}")
    if found:
        rows = [[one.name, f"{one.bytes / 1e6:,.1f}", str(one.files), one.about] for one in found]
        console.table(["cache", "MB", "files", "what"], rows, right="MB files")
    elif not cleared:
        console.note("Nothing is kept.")
    console.note(f"The cache folder is {folders.cache()}.")
