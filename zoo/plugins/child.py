"""One plugin, imported and asked in its own process.

`python -m zoo.plugins.child MODULE FILE DISTRIBUTION`: what it found goes as JSON into FILE, so
that nothing that the plugin prints can corrupt it. If the plugin ends the process, FILE stays
absent, and the exit code is all that there is to tell.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pluggy

from zoo import hooks
from zoo.components import Kind, to_json
from zoo.near import near
from zoo.plugins import requirements
from zoo.plugins.door import RESOURCE, complaints

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

#: modules that the cold half of a plugin must not import; they cost seconds
HEAVY = frozenset({"torch", "torchvision", "timm", "transformers", "tensorflow", "jax"})
#: a plugin must not be able to fill the disk with its complaints
_LONGEST = 4000


class Unfit(Exception):
    """The plugin broke the contract: each argument is one way in which it did."""


def survey(name: str, distribution: str = "") -> dict[str, Any]:
    """Import the plugin `name`, ask its listing hooks one by one, and check what they give.

    Args:
        name: of its module.
        distribution: whose it is; not imported at all when what it requires is not there.

    Returns:
        `{"seconds", "heavy", "imported", "components": {kind: [record]}, "entries": [...],
        "problem"}`, where `problem` is None or `{"reason", "detail", "lasting"}`; with a problem,
        nothing is listed. `imported` are top-level modules that were not there before, `heavy`
        those of them that take seconds.
    """
    if distribution and (problem := requirements.fault(distribution)):
        return failure(**problem)
    before = set(sys.modules)
    started = time.perf_counter()
    record: dict[str, Any] = {"components": {}, "entries": [], "problem": None}
    try:
        module = import_module(name)
        record["seconds"] = time.perf_counter() - started
        record["components"], record["entries"] = _ask(_registered(module, name))
    except Unfit as fault:
        more = f" (and {len(fault.args) - 1} more)" if fault.args[1:] else ""
        detail = "\n".join(map(str, fault.args)) if more else ""
        record["problem"] = _problem(f"{fault.args[0]}{more}", detail, lasting=True)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may raise anything
        lasting = not isinstance(error, (OSError, MemoryError))
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        record["problem"] = _problem(reason, traceback.format_exc(), lasting=lasting)
    record.setdefault("seconds", time.perf_counter() - started)
    new = {module.partition(".")[0] for module in set(sys.modules) - before}
    return record | {"heavy": sorted(HEAVY & new), "imported": sorted(new)}


def failure(
    reason: str, detail: str = "", *, lasting: bool = True, wants: Sequence[str] = ()
) -> dict[str, Any]:
    """The record of a plugin that could not be asked. See `survey`.

    Args:
        reason: one line.
        detail: what it printed, or more.
        lasting: whether it will fail again as long as nothing is installed.
        wants: requirements that would mend it.
    """
    problem = {"reason": reason, "detail": detail, "lasting": lasting, "wants": [*wants]}
    empty: dict[str, Any] = {"components": {}, "entries": [], "seconds": 0.0}
    return empty | {"heavy": [], "imported": [], "problem": problem}


def _problem(reason: str, detail: str, *, lasting: bool) -> dict[str, Any]:
    return {"reason": reason[:_LONGEST], "detail": detail[-_LONGEST:], "lasting": lasting}


def _registered(module: ModuleType, name: str) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    try:
        manager.register(module, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise Unfit(_misspelt(manager) or str(error).replace("\n", " ")) from error
    if not manager.get_hookcallers(module):
        raise Unfit(f"{name} implements no hook of zoo; is @zoo.hookimpl missing?")
    return manager


def _misspelt(manager: pluggy.PluginManager) -> str:
    known = [name for name in dir(hooks) if name.startswith("zoo_")]
    for name in sorted(vars(manager.hook)):
        caller = getattr(manager.hook, name)
        if isinstance(caller, pluggy.HookCaller) and not caller.has_spec():
            near_ones = near(name, known, count=1) or known
            return f"there is no hook {name!r} (did you mean {', '.join(near_ones)}?)"
    return ""


def _ask(manager: pluggy.PluginManager) -> tuple[dict[str, list[Any]], list[str]]:
    offered = {
        cast("Kind", kind): list(_given(manager, hook)) for hook, kind in hooks.LISTING.items()
    }
    wrong = [text for kind, found in offered.items() for text in complaints(kind, found)]
    entries: list[Any] = list(_given(manager, "zoo_entries"))
    wrong += [
        f"zoo_entries gave {entry!r:.60}, not 'package:file.toml'"
        for entry in entries
        if not (isinstance(entry, str) and RESOURCE.fullmatch(entry))
    ]
    wrong += [
        f"zoo_observers gave {one!r:.60}, not the name of a module"
        for one in _given(manager, "zoo_observers")
        if not (isinstance(one, str) and one.isidentifier())
    ]
    if wrong:
        raise Unfit(*wrong)
    return {kind: to_json(found) for kind, found in offered.items()}, entries


def _given(manager: pluggy.PluginManager, hook: str) -> Iterator[object]:
    """What the plugin's own function gives; pluggy's call would hide a None."""
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.wrapper or implementation.hookwrapper:
            raise Unfit(f"{hook} is a wrapper; hooks that list must not be")
        given = implementation.function()
        try:
            yield from given
        except TypeError as error:
            if given is None or not hasattr(given, "__iter__"):
                raise Unfit(f"{hook} gave {given!r:.60}, not an iterable") from error
            raise


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(survey(sys.argv[1], sys.argv[3])), "ascii")
    os._exit(0)  # at once: threads and exit handlers that the plugin left behind may never end
