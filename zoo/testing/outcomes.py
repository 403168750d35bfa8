"""Checks carried out one by one in a child process, each outcome written at once."""

from __future__ import annotations

import json
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.testing import state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: frames of the plugin's code that are told
_FRAMES = 1


class Fault(Exception):
    """What a check found wrong, in one sentence."""


class NotApplicableError(Exception):
    """Why a check has nothing to say of this component."""


def carry_out(order: Mapping[str, Any], do: Callable[[Mapping[str, str]], object]) -> None:
    """Carry out the checks of an order.

    Before each check its number goes into the order's `results`, and after it what came of it; so
    whoever reads them knows at which check a process died.

    Args:
        order: `checks` are pairs of a number and a check; see `zoo.testing.kit`.
        do: takes a check (`name`, `component`, `case`, `kind`), and raises what it found.
    """
    with Path(order["results"]).open("a", encoding="utf-8") as results:
        for number, check in order["checks"]:
            _write(results, {"begins": number})
            _write(results, {"number": number, **_outcome(check, do)})


def _write(results: Any, record: Mapping[str, Any]) -> None:  # noqa: ANN401 - a text file
    results.write(json.dumps(record) + "\n")
    results.flush()


def _outcome(
    check: Mapping[str, str], do: Callable[[Mapping[str, str]], object]
) -> dict[str, str | float]:
    started = time.perf_counter()
    status, detail = "passed", ""
    try:
        with state.kept():
            do(check)
    except NotApplicableError as reason:
        status, detail = "not applicable", str(reason)
    except Fault as fault:
        status, detail = "failed", str(fault)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        status, detail = "failed", _words(error)
    seconds = round(time.perf_counter() - started, 4)
    return {"status": status, "detail": detail, "seconds": seconds}


def _words(error: BaseException) -> str:
    """The error, and the place in the plugin's code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    strange = [one for one in frames if "/zoo/testing/" not in one.filename.replace("\\", "/")]
    place = strange[-_FRAMES:]
    where = "".join(f" ({Path(one.filename).name}:{one.lineno})" for one in place)
    text = f"{type(error).__name__}: {error}".strip().split("\n")[0]
    return f"{text[:300]}{where}"
