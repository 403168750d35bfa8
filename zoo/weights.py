"""The weights that a run starts from: had, put on record, and held to that record ever after.

A model of a hub, or in the user's folder, can become another under the same name. So plan.json
keeps the hash of the file that was loaded, and of the hub's its commit: a run that goes on loads
that file or none, and one that is repeated tells that the file is another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo import fetch
from zoo.errors import Mismatch
from zoo.provenance import Drift, Loaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.plan import Plan
    from zoo.progress import Listener
    from zoo.runfolder import RunFolder


def file_of(plan: Plan, hears: Listener, pause: Callable[[], None]) -> Path | None:
    """The file of a plan's weights, fetched if need be; None for random ones.

    Args:
        plan: whose.
        hears: hears of a download.
        pause: called while it is fetched; raises when somebody asked to stop.

    Raises:
        Unavailable: it cannot be had here and now.
        BadWeights: its hash is not the published one.
    """
    choice = plan.weights
    if choice.mode == "none":
        return None
    if choice.mode == "file":
        return Path(choice.file)
    begun, before = False, 0

    def progress(done: int, total: int) -> None:
        nonlocal begun, before
        if not begun:
            hears.begin("download", total, "bytes")
            begun = True
        pause()
        hears.advance(done - before)
        before = done

    found = fetch.fetch_file(choice.source, choice.sha256, progress=progress)
    if begun:
        hears.end()
    return found


def hold(folder: RunFolder, plan: Plan, file: Path | None, *, going_on: bool) -> None:
    """Put the file that is about to be loaded on record; a run that goes on is held to its record.

    Args:
        folder: of the run.
        plan: of the run.
        file: of its weights; None for random ones.
        going_on: whether it has trained before.

    Raises:
        Mismatch: it began with another file.
    """
    if file is None:
        return
    now, before = _loaded(plan, file), folder.loaded()
    if before.sha256 and before.sha256 != now.sha256:
        raise Mismatch(
            f"The run began with other weights: {_told(plan, before, now)}.",
            hint="Restore the file, or start a new run with zoo run.",
        )
    if not before.sha256 and not going_on:  # an older zoo put none on record
        folder.note_loaded(now)


def drift(
    before: Loaded, plan: Plan, hears: Listener, pause: Callable[[], None] = lambda: None
) -> list[Drift]:
    """Whether the weights that a plugin names are another file than a run loaded.

    Of a file that the user named, `zoo.provenance.drift` tells.

    Args:
        before: what the run loaded.
        plan: whose weights to look at, and to fetch where they are not in the cache; they must be
            known to be those that the installed plugin names.
        hears: hears of a download.
        pause: see `file_of`.

    Raises:
        Unavailable: they cannot be fetched.
    """
    if plan.weights.mode != "tag" or not before.sha256:
        return []
    source = plan.weights.source
    if source.startswith("file:") and not Path(source.removeprefix("file:")).is_file():
        return [Drift(f"weights: {source.removeprefix('file:')} is gone")]
    file = file_of(plan, hears, pause)
    now = _loaded(plan, file) if file else Loaded()
    return [] if now.sha256 == before.sha256 else [Drift(f"weights: {_told(plan, before, now)}")]


def _loaded(plan: Plan, file: Path) -> Loaded:
    commit = fetch.fetched_commit(plan.weights.source) if plan.weights.mode == "tag" else ""
    return Loaded(fetch.digest(file), commit)


def _told(plan: Plan, before: Loaded, now: Loaded) -> str:
    """That the file is another, and which it was."""
    place = plan.weights.file or plan.weights.source.removeprefix("file:")
    told = f"{place} is another file"
    if before.commit and before.commit != now.commit:
        return f"{told}; it was that of the commit {before.commit}"
    return f"{told}; its SHA-256 was {before.sha256[:16]}... and is {now.sha256[:16]}..."
