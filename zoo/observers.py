"""Plugins that watch a run: chosen by name, told in frozen events, never able to stop it.

`acme` is the plugin of that namespace, whose own module holds the hooks; `acme/board` is the module
`board` inside its package, which `zoo_observers` of its own module names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from zoo import encoding, hooks
from zoo.errors import PluginFault, Unavailable
from zoo.plugins.distributions import Source, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from zoo.history import EpochRecord


@dataclass(slots=True)
class Watcher:
    """A plugin that was asked to observe.

    Args:
        source: whose it is.
        manager: holds nothing but this plugin.
        say: where a failure of its is told.
    """

    source: Source
    manager: pluggy.PluginManager
    say: Callable[[str], None]

    def tell(self, hook: str, event: object) -> None:
        """Call one hook; what it raises is said, and the run goes on."""
        try:
            getattr(self.manager.hook, hook)(event=event)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an observer must not end a run
            owner = f"{self.source.distribution} {self.source.version}"
            told = f"observer {owner}: {hook} failed: {type(error).__name__}: {error}"
            self.say(encoding.line(told))


def select(names: Sequence[str], say: Callable[[str], None]) -> tuple[Watcher, ...]:
    """The observers of these names, `NAMESPACE` or `NAMESPACE/MODULE`, imported and ready.

    Raises:
        Unavailable: there is no such plugin, or it has no such observer.
        PluginFault: it cannot be imported.
    """
    if not names:
        return ()
    found = {source.namespace: source for source in sources()}
    return tuple(_watcher(name, found, say) for name in names)


def _watcher(name: str, found: Mapping[str, Source], say: Callable[[str], None]) -> Watcher:
    namespace, _, inner = name.partition("/")
    if namespace not in found:
        near = get_close_matches(namespace, found, n=3) or sorted(found)
        raise Unavailable(
            f"--observe {name}: no installed plugin has the namespace {namespace}.",
            hint=f"There is: {', '.join(near)}",
        )
    source = found[namespace]
    if source.off:
        owner = f"{source.distribution} {source.version}"
        message = f"--observe {name}: {owner} is disabled by {source.off.by}."
        raise Unavailable(message, hint=source.off.undo)
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    there: tuple[str, ...] = ()
    try:
        entry = import_module(source.module)
        there = _modules(entry)
        if not inner:
            manager.register(entry, name=name)
        elif inner in there:
            manager.register(import_module(f"{source.module}.{inner}"), name=name)
    except (Exception, SystemExit) as error:
        owner = f"{source.distribution} {source.version}"
        message = f"The observer {name} ({owner}) cannot be used: {type(error).__name__}: {error}"
        raise PluginFault(message, hint="Leave out --observe, or mend the plugin.") from error
    if not any(getattr(manager.hook, hook).get_hookimpls() for hook in hooks.OBSERVING):
        raise _no_observer(name, source, there)
    return Watcher(source, manager, say)


def _modules(entry: ModuleType) -> tuple[str, ...]:
    """The observers that a plugin has in modules of their own."""
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(entry)
    return tuple(name for names in manager.hook.zoo_observers() for name in names)


def _no_observer(name: str, source: Source, there: tuple[str, ...]) -> Unavailable:
    """That nothing of the plugin would hear of a run under this name, and what would."""
    owner = f"{source.distribution} {source.version}"
    told = ", ".join(f"{source.namespace}/{one}" for one in there)
    return Unavailable(
        f"--observe {name}: {owner} observes nothing by this name.",
        hint=f"There is: {told}" if told else "Leave out --observe.",
    )


def start(watchers: Sequence[Watcher], folder: Path, plan_file: str) -> None:
    """Tell that a run is about to train."""
    if watchers:
        plan: dict[str, Any] = json.loads((folder / plan_file).read_text(encoding="utf-8"))
        for watcher in watchers:
            watcher.tell("zoo_run_start", hooks.RunStart(folder, plan))


def epoch(watchers: Sequence[Watcher], folder: Path, record: EpochRecord) -> None:
    """Tell that an epoch is over."""
    for watcher in watchers:
        watcher.tell("zoo_epoch_end", hooks.EpochEnd(folder, record.to_json()))


def end(
    watchers: Sequence[Watcher], folder: Path, status: str, summary: dict[str, Any] | None
) -> None:
    """Tell that a run is over."""
    for watcher in watchers:
        watcher.tell("zoo_run_end", hooks.RunEnd(folder, status, summary))
