"""Which of the installed plugins may come in: the command line, the environment, config.toml.

A plugin that may not is neither imported nor asked, and is shown as disabled, with what disables it
and what lets it in again. `zoo list` looks here on its shortest way, so nothing heavy is imported.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

#: the only plugins to load, separated by commas; empty for none
ONLY = "ZOO_PLUGINS"
#: a quarantined plugin is an error
STRICT = "ZOO_STRICT_PLUGINS"


class Selection(NamedTuple):
    """What the command line and the environment say; config.toml is read where it is needed.

    A name means the plugin of that distribution, else of that namespace, else of that entry point.

    Args:
        none: `--no-plugins`.
        without: of each `-p no:NAME`.
        only: of ZOO_PLUGINS; None where it is not set.
        strict: whether a quarantined plugin is an error.
    """

    none: bool = False
    without: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    strict: bool = False

    def named(self) -> Iterator[tuple[str, str]]:
        """Every name, with where it stands."""
        yield from ((name, f"-p no:{name}") for name in self.without)
        yield from ((name, ONLY) for name in self.only or ())


class Off(NamedTuple):
    """Why a plugin is disabled.

    Args:
        by: what says so.
        undo: what to type or to do to have it.
    """

    by: str
    undo: str


_command_line = Selection()


def current() -> Selection:
    """What holds now."""
    listed = os.environ.get(ONLY)
    only = None if listed is None else tuple(filter(None, map(str.strip, listed.split(","))))
    strict = os.environ.get(STRICT, "").strip().lower() not in ("", "0", "no", "false", "off")
    return _command_line._replace(only=only, strict=_command_line.strict or strict)


@contextmanager
def said(
    *, none: bool = False, without: tuple[str, ...] = (), strict: bool = False
) -> Iterator[None]:
    """Within the block, what these options of the command line say is added to what was said."""
    global _command_line  # noqa: PLW0603 - there is one command line
    before = _command_line
    _command_line = Selection(
        before.none or none, before.without + without, None, before.strict or strict
    )
    try:
        yield
    finally:
        _command_line = before


def off(
    distribution: str,
    selection: Selection,
    meant: Mapping[str, Collection[str]],
    disabled: Collection[str] = (),
) -> Off | None:
    """Why a plugin is disabled; None where it may come in.

    Args:
        distribution: the plugin's, normalised.
        selection: what holds.
        meant: each name of the selection → the distributions that it means.
        disabled: the distributions that config.toml disables.
    """
    if selection.none:
        return Off("--no-plugins", "Leave out --no-plugins.")
    for name in selection.without:
        if distribution in meant[name]:
            return Off(f"-p no:{name}", f"Leave out -p no:{name}.")
    only = selection.only
    if only is not None and not any(distribution in meant[name] for name in only):
        return Off(ONLY, f"Name {distribution} in {ONLY}, or unset it.")
    if distribution in disabled:
        return Off("config.toml", f"Type: zoo plugins enable {distribution}")
    return None
