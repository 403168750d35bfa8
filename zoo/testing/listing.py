"""One plugin's cold half, imported and asked in a process of its own, under observation.

`python -m zoo.testing.listing`: forks a child for each order; what was seen goes as JSON into the
order's `results`.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import hooks
from zoo.components import component_from_json, to_json
from zoo.plugins.child import survey
from zoo.testing import audit, forking, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def observe(module: str, distribution: str) -> dict[str, Any]:
    """What listing the plugin gives, and what it does to the process.

    Returns:
        `record`: as `zoo.plugins.child.survey` gives it, `imported` top-level modules among it;
        `cpu` and `wall`: seconds of the first time; `same`: whether asking again gave the same;
        `changed`, `reached`: in words; `observers`: hooks of a run that it implements;
        `altered`: components that change on the way to JSON and back, or cannot be pickled.
    """
    loaded = {*sys.modules}
    before = state.snapshot()
    with audit.listening() as reached:
        wall, cpu = time.perf_counter(), time.process_time()
        record = survey(module, distribution)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    changed = state.changes(before, state.snapshot())
    new = {name.partition(".")[0] for name in {*sys.modules} - loaded}
    again = survey(module, distribution)
    found = import_module(module) if record["problem"] is None else None
    return {
        "record": record | {"imported": sorted(new)},
        "wall": wall,
        "cpu": cpu,
        "same": again["components"] == record["components"]
        and again["entries"] == record["entries"]
        and again["problem"] == record["problem"],
        "changed": changed,
        "reached": reached,
        "observers": [*_observers(found)] if found else [],
        "altered": [*_altered(found)] if found else [],
    }


def _observers(module: object) -> Iterator[str]:
    """Modules inside the package that observe runs; empty for the entry module itself."""
    if any(_implements(module, hook) for hook in hooks.OBSERVING):
        yield ""
    if _implements(module, "zoo_observers"):
        yield from module.zoo_observers()  # type: ignore[missing-attribute]  # just seen to be there


def _implements(module: object, hook: str) -> bool:
    return hasattr(getattr(module, hook, None), f"{hooks.PROJECT}_impl")


def _altered(module: object) -> list[str]:
    """What is not the same component after JSON, or after pickling, in words."""
    wrong: list[str] = []
    for hook in hooks.LISTING:
        if not _implements(module, hook):
            continue
        for component in getattr(module, hook)():
            text = json.dumps(to_json(component))
            back = component_from_json(json.loads(text))
            if back != component or json.dumps(to_json(back)) != text:
                wrong.append(f"{component.name} is another component after a JSON round trip")
            try:
                same = pickle.loads(pickle.dumps(component)) == component  # noqa: S301 - its own
            except Exception as error:  # noqa: BLE001 - a stranger's object
                wrong.append(f"{component.name} cannot be pickled: {error}")
            else:
                wrong += [] if same else [f"{component.name} is another component when unpickled"]
    return wrong


def carry_out(order: Mapping[str, Any]) -> None:
    """Observe what the order names: `module`, `distribution`; `environment`, `path`; `results`."""
    os.environ.clear()
    os.environ.update(order["environment"])
    if hasattr(time, "tzset"):
        time.tzset()
    sys.path[:] = order["path"]
    invalidate_caches()
    found = observe(order["module"], order["distribution"])
    Path(order["results"]).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    forking.serve(carry_out)
