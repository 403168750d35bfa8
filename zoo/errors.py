"""Everything that can go wrong, as one tree; each leaf knows its exit code.

::

    ZooError
    ├── UsageError              2   the command line, a spec or a configuration file
    │   └── SpecError           2   a spec that does not parse, or a trio that cannot fit
    ├── Diverged                3   a loss that is not finite
    ├── BadData                65   images, tables or weights that are there but wrong
    │   └── BadWeights         65   a weights file that does not fit its backbone
    ├── InputMissing           66   a path that is not there
    ├── Unavailable            69   a component, plugin or weights that cannot be had
    │   └── UnknownName        69   a name that no plugin offers
    ├── PluginFault            70   a plugin broke its contract
    ├── OutOfMemory            71   the device or the host has no memory left
    ├── CannotCreate           73   the output folder cannot be made, is not empty or is locked
    ├── StorageFault           74   reading or writing failed
    ├── Refused                77   a trust rule says no
    ├── Mismatch               78   a plan and the run or data that it meets differ
    └── Stopped               130   somebody asked the run to stop (SIGTERM: 143, SIGHUP: 129)

An error's text says what was asked, what is there, and what to type next. Anything outside this
tree is a bug in zoo (exit code 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ZooError(Exception):
    """A failure that the user can act on.

    Attributes:
        exit_code: what the process exits with when nothing catches the error.
        hint: one line to type or do next; empty when the message says it all.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the message and the hint apart, so that a terminal can set them apart."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Both parts, for tracebacks and logs."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(ZooError):
    """The command line, a spec or a configuration file asks for what cannot be."""

    exit_code = 2


class SpecError(UsageError):
    """A spec that does not parse, or a trio whose ports cannot fit."""


class Diverged(ZooError):
    """A loss or a weight stopped being finite.

    Attributes:
        facts: for diagnosis.json, JSON types: where it happened, with which numbers and files.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, hint: str = "", facts: Mapping[str, object] | None = None
    ) -> None:
        """Keep the facts as data beside the sentence that tells them."""
        super().__init__(message, hint=hint)
        self.facts = dict(facts or {})


class BadData(ZooError):
    """Images, tables or folders that are there but cannot be used."""

    exit_code = 65


class BadWeights(BadData):
    """A weights file that is damaged or does not fit its backbone."""


class InputMissing(ZooError):
    """A path that the user named and that is not there."""

    exit_code = 66


class Unavailable(ZooError):
    """A component, plugin or weights file that cannot be had here and now."""

    exit_code = 69


class UnknownName(Unavailable):
    """A name that no installed plugin offers, or that several offer alike.

    Attributes:
        suggestions: near names, best first, fully qualified.
    """

    def __init__(self, message: str, *, hint: str = "", suggestions: tuple[str, ...] = ()) -> None:
        """Keep the near names as data beside the sentence that lists them."""
        super().__init__(message, hint=hint)
        self.suggestions = suggestions


class PluginFault(ZooError):
    """A plugin broke its contract: it raised, or gave what it had not declared."""

    exit_code = 70


class OutOfMemory(ZooError):
    """The device or the host has no memory left."""

    exit_code = 71


class CannotCreate(ZooError):
    """The output folder cannot be made, is not empty, or belongs to a living run."""

    exit_code = 73


class StorageFault(ZooError):
    """Reading or writing failed half way."""

    exit_code = 74


class Refused(ZooError):
    """A trust rule says no."""

    exit_code = 77


class Mismatch(ZooError):
    """A plan does not belong to the run, or the data changed since."""

    exit_code = 78


class Stopped(ZooError):
    """Somebody asked a run to stop, and it did, in good order."""

    exit_code = 130


INTERRUPTED = 130
TERMINATED = 143
HUNG_UP = 129
BUG = 1
