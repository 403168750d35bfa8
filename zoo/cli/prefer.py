"""`zoo prefer`: the user's say in what a shared name means."""

from __future__ import annotations

import click

from zoo import config
from zoo.cli import console
from zoo.cli.problems import announce
from zoo.components import KINDS
from zoo.errors import UsageError
from zoo.index import Catalog, Listed, catalog
from zoo.misses import not_held, unknown_anywhere
from zoo.names import preferences, resolve, set_preferences
from zoo.spec import Part, parse_part


@click.command()
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="Forget the preference for NAME.")
@click.option("--list", "wants_list", is_flag=True, help="Show the preferences.")
def command(*, name: str | None, remove: bool, wants_list: bool) -> None:
    """Let a bare name mean the component NAME from now on.

    zoo prefer timm/resnet18
    """
    if remove and name is None:
        raise UsageError("--remove wants a NAME.", hint="zoo prefer --list shows which there are.")
    if wants_list and name is not None:
        hint = f"Leave out --list, or {name}."
        raise UsageError("--list shows all preferences and takes no NAME.", hint=hint)
    if name is None:
        _list()
    elif remove:
        _remove(name)
    else:
        _add(name)


def _list() -> None:
    names = preferences()
    for name in names:
        console.result(name)
    if not names:
        console.note(f"There are no preferences in {config.file()}.")


def _remove(name: str) -> None:
    names = preferences()
    if name not in names:
        hint = f"There is: {', '.join(names)}." if names else "There are none."
        raise UsageError(f"{name} is not among your preferences.", hint=hint)
    set_preferences([one for one in names if one != name])
    console.note(f"{name} is no longer preferred.")


def _add(name: str) -> None:
    found = catalog()
    announce(found)
    listed = _checked(found, parse_part(name))
    bare = listed.full_name.partition("/")[2]
    before = preferences()
    replaced = [one for one in before if one.partition("/")[2] == bare]
    set_preferences([listed.full_name, *(one for one in before if one not in replaced)])
    others = ", ".join(one for one in replaced if one != listed.full_name)
    console.note(
        f"{bare} now means {listed.full_name} ({listed.owner}){others and f', not {others}'}; "
        f"zoo prefer --remove {listed.full_name} takes it back."
    )


def _checked(found: Catalog, part: Part) -> Listed:
    """The component that is to be preferred, named in full and without more."""
    full_name = f"{part.namespace}/{part.name}"
    if not part.namespace:
        holders = [one.full_name for kind in KINDS for one in found.named(kind, part.name)]
        if not holders:
            raise unknown_anywhere(found, part.name)
        lines = " or ".join(f"zoo prefer {holder}" for holder in holders)
        raise UsageError(f"{part.name} is a name without its namespace.", hint=f"Type {lines}")
    if full_name != str(part):
        hint = f"Type: zoo prefer {full_name}"
        raise UsageError("A preference has no weights tag and no options.", hint=hint)
    kind = next((kind for kind in KINDS if found.get(full_name, kind)), None)
    if kind is None:
        raise not_held(found, "backbone", part, part.namespace)
    return resolve(found, kind, part).listed
