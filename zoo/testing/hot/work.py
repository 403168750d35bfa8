"""The planned checks of one plugin that need torch, carried out in a child process."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo.components import component_from_json
from zoo.index import Listed
from zoo.testing import outcomes
from zoo.testing.hot import backbones, calling, common, heads, losses, sending, watching
from zoo.testing.hot.rig import RIGS, Rig
from zoo.testing.outcomes import Fault
from zoo.testing.planned import OBSERVING, TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo.components import Kind

#: kind → check → its code; a kind's own goes before the common one
CHECKS: dict[str, Mapping[str, Callable[..., None]]] = {
    "backbone": {**common.CHECKS, **sending.CHECKS, **backbones.CHECKS},
    "head": {**common.CHECKS, **sending.CHECKS, **heads.CHECKS},
    "loss": {**common.CHECKS, **sending.CHECKS, **losses.CHECKS},
}


def carry_out(order: Mapping[str, Any]) -> None:
    """Carry out an order: see `zoo.testing.kit`."""
    sys.path[:] = order["path"]
    rigs: dict[str, Rig] = {}

    def do(check: Mapping[str, str]) -> None:
        _do(check, rigs, order)

    outcomes.carry_out(order, do)


def _rig(check: Mapping[str, str], order: Mapping[str, Any]) -> Rig:
    """A component ready to be tried, looked up as a run would if its options specify it."""
    kind, name = cast("Kind", check["kind"]), check["component"].rpartition("/")[2]
    records = order["components"].get(kind, ())
    record = next((one for one in records if one["name"] == name), None)
    if record is None:
        raise Fault(f"there is no component {check['component']}")
    listed = component_from_json(record)
    plugin = order["plugin"]
    owner = (plugin["namespace"], plugin["distribution"], plugin["version"])
    rig: Rig = RIGS[kind](Listed(kind, *owner, listed))
    if listed.specify and name in order["given"]:
        rig = replace(rig, declared=listed, specifying=order["given"][name]).under({})
    return rig


def _do(check: Mapping[str, str], rigs: dict[str, Rig], order: Mapping[str, Any]) -> None:
    folder = Path(order["folder"])
    if check["name"] == OBSERVING:
        module = ".".join(filter(None, (order["plugin"]["module"], check["case"])))
        watching.observers(module, folder)
        return
    if check["name"] == TARGETS:
        calling.targets(order["targets"])
        return
    component = f"{check['kind']}:{check['component']}"
    if component not in rigs:
        rigs.clear()  # the one before is done with
        rigs[component] = _rig(check, order)
    rig = rigs[component]
    if check["name"] in sending.CHECKS:
        sending.CHECKS[check["name"]](rig, folder)
        return
    code = CHECKS[check["kind"]][check["name"]]
    if check["name"] in common.OF_A_CASE:
        code(rig, check["case"])
    else:
        code(rig)
