"""Backbones whose weights, preprocessing and facts depend on their options.

What a plugin's `specify` returns is checked as the catalog checks what a plugin lists. It is called
in this process: the run needs this plugin anyway.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from zoo.errors import PluginFault, UsageError, ZooError
from zoo.plugins import door
from zoo.plugins.guard import undisturbed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.components import Component, Value


def specified(
    component: Component, options: Mapping[str, Value | None], title: str
) -> tuple[Component, dict[str, Value | None]]:
    """A backbone as it is under these options, and the options with what was looked up.

    Args:
        component: as the plugin lists it.
        options: every option's value; None where nobody named one.
        title: what to call it in messages, `hf/auto (zoo-hf 0.1.0)`.

    Raises:
        UsageError: the options name nothing that there is, in the plugin's words.
        PluginFault: the plugin fails, or what it returns is no such component.
        Unavailable: what has to be looked up cannot be reached.
    """
    if not component.specify:
        return component, dict(options)
    module, _, attribute = component.specify.partition(":")
    try:
        with undisturbed():
            found = getattr(import_module(module), attribute)(component, options)
        wrong = _complaints(component, found)
    except ZooError:
        raise
    except ValueError as error:
        name = title.partition(" ")[0]
        raise UsageError(f"{title}: {error}", hint=f"See zoo show {name}") from error
    except (Exception, SystemExit) as error:
        message = f"{title} cannot be specified: {type(error).__name__}: {error}"
        raise PluginFault(message, hint="Run again with zoo --debug for the traceback.") from error
    if wrong:
        message = f"{title} specifies what it may not: {'; '.join(wrong)}"
        raise PluginFault(message, hint="Report it to the plugin's author.")
    values = {name: options.get(name) for name in found.options}
    return found, {
        name: found.options[name].default if value is None else value
        for name, value in values.items()
    }


def _complaints(listed: Component, found: Component) -> list[str]:
    # A file of the user's is no source that a catalog may name, but one that an option may.
    shown = [
        replace(one, source="") if one.source.startswith("file:") else one for one in found.weights
    ]
    wrong = door.complaints("backbone", [replace(found, weights=tuple(shown))])
    kept = ("name", "target", "provides", "specify", "requires")
    wrong += [
        f"it changes {part}" for part in kept if getattr(found, part) != getattr(listed, part)
    ]
    if found.options.keys() != listed.options.keys():
        wrong.append("it changes the names of options")
    return wrong
