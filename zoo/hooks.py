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
    """A run is about to train: its folder and its plan (JSON types)."""

    folder: Path
    plan: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch is over: the line that went into metrics.jsonl."""

    folder: Path
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A run is over: how it ended, and its summary (JSON types; None if it failed)."""

    folder: Path
    status: str
    summary: dict[str, Any] | None


@hookspec
def zoo_backbones() -> Iterable[Component]:  # type: ignore[empty-body]
    """The plugin's backbones."""


@hookspec
def zoo_heads() -> Iterable[Component]:  # type: ignore[empty-body]
    """The plugin's heads."""


@hookspec
def zoo_losses() -> Iterable[Component]:  # type: ignore[empty-body]
    """The plugin's losses."""


@hookspec
def zoo_entries() -> Iterable[str]:  # type: ignore[empty-body]
    """Package resources with registry entries, each `"package:file.toml"`."""


@hookspec
def zoo_observers() -> Iterable[str]:  # type: ignore[empty-body]
    """Names of the modules in the plugin's package that observe runs, `--observe acme/NAME`.

    For a plugin with several observers, or with one whose libraries are heavy: a module is imported
    when a run asks for it, and holds the three hooks below.
    """


@hookspec
def zoo_run_start(event: RunStart) -> None:
    """A run selected this plugin with `--observe` and is about to train."""


@hookspec
def zoo_epoch_end(event: EpochEnd) -> None:
    """An epoch of that run is over."""


@hookspec
def zoo_run_end(event: RunEnd) -> None:
    """That run is over, however it ended."""
