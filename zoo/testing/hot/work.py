"""The planned checks of one plugin, carried out in a child process, each result written at once."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.components import component_from_json
from zoo.index import Listed
from zoo.specify import specified
from zoo.testing import state
from zoo.testing.hot import backbones, common, heads, losses, sending, watching
from zoo.testing.hot.rig import RIGS, Fault, NotApplicableError, Rig
from zoo.testing.planned import OBSERVING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo.components import Kind, Value

#: kind → check → its code; a kind's own goes before the common one
CHECKS: dict[str, Mapping[str, Callable[..., None]]] = {
    "backbone": {**common.CHECKS, **sending.CHECKS, **backbones.CHECKS},
    "head": {**common.CHECKS, **sending.CHECKS, **heads.CHECKS},
    "loss": {**common.CHECKS, **sending.CHECKS, **losses.CHECKS},
}
#: lines of a traceback that are told
_FRAMES = 1


def carry_out(order: Mapping[str, Any]) -> None:
    """Carry out an order: `{"path", "plugin", "components", "checks", "results", "folder"}`.

    Before each check its number goes into the results, and after it what came of it; so whoever
    reads them knows at which check a process died.
    """
    sys.path[:] = order["path"]
    plugin = order["plugin"]
    rigs = {
        f"{kind}:{plugin['namespace']}/{record['name']}": _rig(kind, plugin, record, order["given"])
        for kind, found in order["components"].items()
        for record in found
    }
    with Path(order["results"]).open("a", encoding="utf-8") as results:
        for number, check in order["checks"]:
            _write(results, {"begins": number})
            rig = rigs.get(f"{check['kind']}:{check['component']}")
            _write(results, {"number": number, **_outcome(check, rig, order)})


def _rig(
    kind: Kind,
    plugin: Mapping[str, str],
    record: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Value]],
) -> Rig:
    """A component ready to be tried, looked up as a run would if its options specify it."""
    listed = component_from_json(record)
    options = given.get(listed.name, {})
    everything = {name: options.get(name, one.default) for name, one in listed.options.items()}
    title = f"{plugin['namespace']}/{listed.name}"
    component, values = specified(listed, everything, title)
    owner = (plugin["namespace"], plugin["distribution"], plugin["version"])
    rig: Rig = RIGS[kind](Listed(kind, *owner, component), declared=listed)
    if component.specify:
        rig.given = {name: value for name, value in values.items() if value is not None}
    return rig


def _write(results: Any, record: Mapping[str, Any]) -> None:  # noqa: ANN401 - a text file
    results.write(json.dumps(record) + "\n")
    results.flush()


def _outcome(check: Mapping[str, str], rig: Rig | None, order: Mapping[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    status, detail = "passed", ""
    try:
        with state.kept():
            _do(check, rig, order)
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


def _do(check: Mapping[str, str], rig: Rig | None, order: Mapping[str, Any]) -> None:
    if check["name"] == OBSERVING:
        module = ".".join(filter(None, (order["plugin"]["module"], check["case"])))
        watching.observers(module, Path(order["folder"]))
        return
    if rig is None:
        raise Fault(f"there is no component {check['component']}")
    if check["name"] in sending.CHECKS:
        sending.CHECKS[check["name"]](rig, Path(order["folder"]))
        return
    code = CHECKS[check["kind"]][check["name"]]
    if check["name"] in common.OF_A_CASE:
        code(rig, check["case"])
    else:
        code(rig)


def _words(error: BaseException) -> str:
    """The error, and the place in the plugin's code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    strange = [one for one in frames if "/zoo/testing/" not in one.filename.replace("\\", "/")]
    place = strange[-_FRAMES:]
    where = "".join(f" ({Path(one.filename).name}:{one.lineno})" for one in place)
    text = f"{type(error).__name__}: {error}".strip().split("\n")[0]
    return f"{text[:300]}{where}"
