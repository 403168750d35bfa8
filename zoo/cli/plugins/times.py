"""`zoo plugins --times`: what importing each plugin costs, and which of its imports cost most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.cli import console
from zoo.plugins.children import timed
from zoo.plugins.distributions import sources
from zoo.plugins.loader import LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

#: an import that takes less is not worth a word, seconds
_HEAVY = 0.01
#: imports that a line has room for
_SHOWN = 4


def show(*, wants_json: bool) -> None:
    """Import each plugin that is not disabled in a process of its own, one after the other.

    Args:
        wants_json: an array with a record for each plugin, slowest first.
    """
    measured: list[dict[str, Any]] = []
    for source in sources():
        if source.asked:
            record, packages = timed(source, LIMIT)
            measured.append(
                {
                    "distribution": source.distribution,
                    "version": source.version,
                    "seconds": record["seconds"],
                    "heavy": dict(sorted(_heavy(packages).items(), key=lambda one: -one[1])),
                    "forbidden": record["heavy"],
                    "imported": len(record["imported"]),
                    "problem": record["problem"] and record["problem"]["reason"],
                }
            )
    measured.sort(key=lambda one: -one["seconds"])
    if wants_json:
        console.as_json(measured)
        return
    console.table(
        ["plugin", "version", "import ms", "packages", "that took 10 ms and more"],
        [_row(one) for one in measured],
        right="import ms packages",
    )


def _heavy(packages: Mapping[str, float]) -> dict[str, float]:
    return {name: seconds for name, seconds in packages.items() if seconds >= _HEAVY}


def _row(one: Mapping[str, Any]) -> list[str]:
    told = [f"{name} {1000 * seconds:.0f} ms" for name, seconds in one["heavy"].items()]
    more = f" and {len(told) - _SHOWN} more" if told[_SHOWN:] else ""
    failed = [one["problem"]] if one["problem"] else []
    return [
        one["distribution"],
        one["version"],
        f"{1000 * one['seconds']:.0f}",
        str(one["imported"]),
        "; ".join([", ".join(told[:_SHOWN]) + more, *failed]).removeprefix("; "),
    ]
