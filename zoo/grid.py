"""`probe.sweep`: which settings a sweep tries, from text.

::

    sweep  := NAME ":" values ("," NAME ":" values)*       NAME is lr or weight_decay
    values := NUMBER ("/" NUMBER)*                         these
            | LOW ".." HIGH ["x" COUNT]                    evenly spaced on a logarithmic scale

`lr:1e-4..1e-2,weight_decay:1/10` tries each of the five rates with each of the two decays. Where no
COUNT is given, neighbours lie half a decade apart or less.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING

from zoo.options import Illtyped, did_you_mean, read, refuse
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: what may be swept: numbers of a head's own, so that many heads can be trained in one pass
SWEPT = ("lr", "weight_decay")
#: settings of one sweep, at most
MOST = 256
_RANGE = re.compile(r"(?P<low>[^x]+?)\.\.(?P<high>[^x]+?)(x(?P<count>[0-9]{1,4}))?")
#: significant digits of a number within a range: what is printed is what is tried
_DIGITS = 6


def parse(text: str) -> tuple[Mapping[str, float], ...]:
    """The settings that a sweep tries, in the order in which they are told; none of "".

    Raises:
        UsageError: naming everything that is wrong with the text.
    """
    refuse(problems(text))
    if not text:
        return ()
    swept = [part.partition(":") for part in text.split(",")]
    values = [_values(name, words) for name, _, words in swept]
    return tuple(
        dict(zip([name for name, *_ in swept], chosen, strict=True))
        for chosen in itertools.product(*values)
    )


def weighs_classes(settings: Mapping[str, object]) -> bool:
    """Whether each class counts the same in what a sweep is judged by, however many its images."""
    return settings["balance"] != "none" or settings["metric"] == "macro_f1"


def problems(text: str) -> list[str]:
    """What is wrong with a sweep's text, a sentence each."""
    found: list[str] = []
    count, names = 1, list[str]()
    for part in text.split(",") if text else ():
        name, colon, words = part.partition(":")
        if not colon or name not in SWEPT:
            hint = did_you_mean(name, SWEPT) or f"; there is {', '.join(SWEPT)}"
            found.append(f"probe.sweep: {part!r} is not NAME:VALUES of something to sweep{hint}")
            continue
        if name in names:
            found.append(f"probe.sweep: {name} is given twice")
        names.append(name)
        try:
            count *= len(_values(name, words))
        except Illtyped as problem:
            found.append(f"probe.sweep: {name} {problem.reason}")
    if count > MOST:
        found.append(f"probe.sweep: {count} settings are more than {MOST}")
    return found


def _values(name: str, words: str) -> list[float]:
    """The values of one name.

    Raises:
        Illtyped: they are none, or are out of range.
    """
    ends = _RANGE.fullmatch(words)
    if not ends:
        values = [_number(name, word) for word in words.split("/")]
        if len(set(values)) < len(values):
            raise Illtyped(f"has a value twice in {words!r}")
        return values
    low, high = _number(name, ends["low"]), _number(name, ends["high"])
    if not 0 < low < high:
        raise Illtyped(f"wants LOW..HIGH with 0 < LOW < HIGH, not {words!r}")
    decades = math.log10(high / low)
    count = int(ends["count"]) if ends["count"] else math.ceil(2 * decades - 1e-9) + 1
    if not 2 <= count <= MOST:  # noqa: PLR2004 - both ends
        raise Illtyped(f"wants 2 to {MOST} values in a range, not {words!r}")
    steps = [low * 10 ** (decades * place / (count - 1)) for place in range(count)]
    return [low, *(float(f"{value:.{_DIGITS}g}") for value in steps[1:-1]), high]


def _number(name: str, word: str) -> float:
    return float(read(SETTINGS[name], word))
