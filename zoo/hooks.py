"""The hooks that a plugin may implement, and the marker to do it with.

Hooks return data and observe; they never dispatch. So no plugin's result depends on another's, and
no order of loading changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from zoo.components import Component

PROJECT = "zoo"
#: the entry-point group of plugins
GROUP = "zoo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
#: the hooks that list components, and the kind of what each returns
LISTING = {"zoo_backbones": "backbone", "zoo_heads": "head", "zoo_losses": "loss"}
#: the hooks that are told of a run
OBSERVING = ("zoo_run_start", "zoo_epoch_end", "zoo_run_end")


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run is about to train.

    Args:
        folder: of the run.
        plan: as plan.json has it.
    """

    folder: Path
    plan: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch is over.

    Args:
        folder: of the run.
        record: the line that went into metrics.jsonl: phase, epoch from 1 on within it, step, loss,
            its terms, rates in 0..1, images a second, seconds.
    """

    folder: Path
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A run is over.

    Args:
        folder: of the run.
        status: `finished`, `stopped` or `failed`.
        summary: as summary.json has it; None unless the run is finished.
    """

    folder: Path
    status: str
    summary: dict[str, Any] | None


@hookspec
def zoo_backbones() -> Iterable[Component]:  # type: ignore[empty-body]
    """The plugin's backbones, each of images `[N, 3, H, W]` → features `[N, D]`.

    Called without arguments, in a process of its own with a time limit, and remembered until the
    plugin's files or its requirements change: it must give the same each time, and import nothing
    heavy. What it raises, or gives that the door refuses, sets the plugin aside and nothing else.

    Returns:
        Components; see `zoo.Component`.

    Raises:
        Exception: any; it is told as the plugin's fault.
    """


@hookspec
def zoo_heads() -> Iterable[Component]:  # type: ignore[empty-body]
    """The plugin's heads, each of features `[N, V, D]` → `zoo.HeadOutput`.

    Called without arguments, in a process of its own with a time limit, and remembered until the
    plugin's files or its requirements change: it must give the same each time, and import nothing
    heavy. What it raises, or gives that the door refuses, sets the plugin aside and nothing else.

    Returns:
        Components; see `zoo.Component`.

    Raises:
        Exception: any; it is told as the plugin's fault.
    """


@hookspec
def zoo_losses() -> Iterable[Component]:  # type: ignore[empty-body]
    """The plugin's losses, each of a `zoo.HeadOutput` and a `zoo.Batch` → `{term: scalar}`.

    Called without arguments, in a process of its own with a time limit, and remembered until the
    plugin's files or its requirements change: it must give the same each time, and import nothing
    heavy. What it raises, or gives that the door refuses, sets the plugin aside and nothing else.

    Returns:
        Components; see `zoo.Component`.

    Raises:
        Exception: any; it is told as the plugin's fault.
    """


@hookspec
def zoo_entries() -> Iterable[str]:  # type: ignore[empty-body]
    """Registry files in the plugin's package.

    Their entries stand under the plugin's namespace, `zoo run acme/recipe`; they may extend its own
    and the built-in ones, and set no defaults. A file with a mistake is left out, and named.

    Returns:
        Resources, each `"package:file.toml"`.

    Raises:
        Exception: any; it is told as the plugin's fault.
    """


@hookspec
def zoo_observers() -> Iterable[str]:  # type: ignore[empty-body]
    """Names of the modules in the plugin's package that observe runs, `--observe acme/NAME`.

    For a plugin with several observers, or with one whose libraries are heavy: a module is imported
    when a run asks for it, and holds the three hooks below.

    Returns:
        Names of modules directly inside the package that the entry point names.

    Raises:
        Exception: any; it is told as the plugin's fault.
    """


@hookspec
def zoo_run_start(event: RunStart) -> None:
    """A run selected this plugin with `--observe` and is about to train; or it is resumed.

    Args:
        event: see `RunStart`.

    Raises:
        Exception: any; it is told in the run's log, and the run goes on.
    """


@hookspec
def zoo_epoch_end(event: EpochEnd) -> None:
    """An epoch of that run is over; after a kill, the epochs since the checkpoint come again.

    Args:
        event: see `EpochEnd`.

    Raises:
        Exception: any; it is told in the run's log, and the run goes on.
    """


@hookspec
def zoo_run_end(event: RunEnd) -> None:
    """That run is over, unless it was killed.

    Args:
        event: see `RunEnd`.

    Raises:
        Exception: any; it is told in the run's log.
    """
