"""Values from text or TOML: typed, in range, and every problem named at once.

One reader serves the options of components, the settings of a run and the keys of a registry file,
so that the same wrong value gets the same sentence wherever it was written.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from zoo.errors import UsageError
from zoo.near import near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zoo.components import Option, Value

_INT = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
#: a longer list of choices is cut where it is named in a sentence
_SHOWN_CHOICES = 8


class Illtyped(ValueError):
    """A value that an option does not take.

    Attributes:
        reason: what the option wants and what it got, to be put behind the option's name.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


def wants(option: Option) -> str:
    """What an option takes, in words: "a whole number from 1 to 64"."""
    if option.choices:
        shown = [spelt(choice) for choice in option.choices[:_SHOWN_CHOICES]]
        more = ", ..." if len(option.choices) > _SHOWN_CHOICES else ""
        return f"one of {', '.join(shown)}{more}"
    noun = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
    return noun[option.type] + _bounds(option)


def spelt(value: object) -> str:
    """A value as one would type it: `true`, not `True`; quotes only around what is empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value) or "''"


def read(option: Option, given: object) -> Value:
    """The value that `given` (text, or a TOML or JSON value) stands for.

    Text is read by the option's type; a value of another type is refused, except that a whole
    number will do for a float.

    Raises:
        Illtyped: wrong type, not one of the choices, out of range, or not finite.
    """
    value = _READERS[option.type](given)
    if value is None or (option.choices and value not in option.choices):
        raise Illtyped(f"wants {wants(option)}, not {_shown(given)}")
    if not isinstance(value, (bool, str)) and not _within(option, value):
        raise Illtyped(f"wants {wants(option)}, not {_shown(given)}")
    return value


def problems(
    options: Mapping[str, Option], given: Mapping[str, object], *, where: str = ""
) -> list[str]:
    """One sentence per key of `given` that is unknown or holds what its option does not take.

    Args:
        options: what there is.
        given: what was asked.
        where: put before each name, such as `"head."` or `"registry.toml:3: "`.
    """
    found = []
    for key, value in given.items():
        if key not in options:
            found.append(f"{where}{key} is not known{did_you_mean(key, options)}")
            continue
        try:
            read(options[key], value)
        except Illtyped as problem:
            found.append(f"{where}{key} {problem.reason}")
    return found


def read_all(
    options: Mapping[str, Option], given: Mapping[str, object], *, where: str = ""
) -> dict[str, Value | None]:
    """Every option's value: the given one, else its default (None: the engine decides).

    Raises:
        UsageError: naming every unknown key and every ill-typed value at once.
    """
    refuse(problems(options, given, where=where), known=options, where=where)
    return {
        key: read(option, given[key]) if key in given else option.default
        for key, option in options.items()
    }


def refuse(found: list[str], *, known: Iterable[str] = (), where: str = "") -> None:
    """Raise one error that lists all of the problems found; nothing happens when there are none.

    Raises:
        UsageError: there is at least one.
    """
    if not found:
        return
    names = ", ".join(f"{where}{name}" for name in sorted(known))
    message = (
        f"{found[0]}." if len(found) == 1 else "\n  ".join([f"{len(found)} problems:", *found])
    )
    raise UsageError(message, hint=f"There is: {names}." if names else "")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`" (did you mean 'epochs'?)"`, or nothing where no name is near."""
    found = near(name, names, count=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _bounds(option: Option) -> str:
    low, high = option.minimum, option.maximum
    if low is not None and high is not None:
        return f" from {spelt(low)} to {spelt(high)}"
    if low is not None:
        return f" of at least {spelt(low)}"
    return f" of at most {spelt(high)}" if high is not None else ""


def _within(option: Option, value: float) -> bool:
    low = -math.inf if option.minimum is None else option.minimum
    high = math.inf if option.maximum is None else option.maximum
    return low <= value <= high


def _shown(given: object) -> str:
    if isinstance(given, (dict, list)):
        return "a table" if isinstance(given, dict) else "a list"
    text = repr(given) if isinstance(given, str) else spelt(given)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - fits on a line


def _bool(given: object) -> bool | None:
    if isinstance(given, str):
        return {"true": True, "false": False}.get(given.lower())
    return given if isinstance(given, bool) else None


def _int(given: object) -> int | None:
    if isinstance(given, str):
        return int(given) if _INT.fullmatch(given) else None
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _float(given: object) -> float | None:
    if isinstance(given, str) and not _FLOAT.fullmatch(given):
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        return None
    try:
        value = float(given)
    except OverflowError:  # a TOML integer beyond the floats
        return None
    return value if math.isfinite(value) else None


def _str(given: object) -> str | None:
    return given if isinstance(given, str) else None


_READERS: dict[str, Callable[[object], Value | None]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
}
