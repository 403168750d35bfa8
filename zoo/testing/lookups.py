"""The checks of what options specify (`Component.specify`), in a process without torch.

`python -m zoo.testing.lookups`: forks a child for each order; see `zoo.testing.kit`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo.components import Component, component_from_json
from zoo.errors import PluginFault, ZooError
from zoo.specify import specified
from zoo.testing import audit, forking, outcomes
from zoo.testing.outcomes import Fault, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo.components import Value

#: what nothing is called, be it the name of a model or of a folder
NOTHING = "./zoo/no/such/thing"


def specify_light(component: Component, given: Mapping[str, Value]) -> None:
    """A plan is made before torch is needed, and by commands that never do."""
    del given
    module, _, attribute = component.specify.partition(":")
    if not callable(getattr(import_module(module), attribute, None)):
        raise Fault(f"{component.specify} is not there, or cannot be called")
    if "torch" in sys.modules:
        raise Fault(f"importing {module} imports torch")


def specify(component: Component, given: Mapping[str, Value]) -> None:
    """What was looked up once is what a run that is resumed has, whatever the hub says by then."""
    options = {name: given.get(name, one.default) for name, one in component.options.items()}
    first = specified(component, options, component.name)
    if "torch" in sys.modules:
        raise Fault("it imports torch")
    if specified(component, options, component.name) != first:
        raise Fault("asked twice, it specifies something else")
    with audit.listening(reads=True) as reached:
        again = specified(component, first[1], component.name)
    if again != first:
        raise Fault("given what it had looked up, it specifies something else")
    if reached:
        raise Fault(f"given what it had looked up, it {reached[0]}")


def specify_refuses(component: Component, given: Mapping[str, Value]) -> None:
    """Options that name nothing are the user's to hear of, in words."""
    free = [
        name for name, one in component.options.items() if one.type == "str" and not one.choices
    ]
    if not free:
        raise NotApplicableError("none of its options is a free text")
    options = {name: given.get(name, one.default) for name, one in component.options.items()}
    # Those that were given to specify it first: one of the others may look up what nobody wants.
    for name in sorted(free, key=lambda name: name not in given):
        try:
            specified(component, {**options, name: NOTHING}, component.name)
        except PluginFault as fault:
            told = f"{name}={NOTHING} is no ValueError or error of zoo's: {fault.message}"
            raise Fault(told) from fault
        except ZooError:
            return
    raise Fault(f"it takes {NOTHING}, which there is not, for {' and '.join(free)}")


CHECKS: dict[str, Callable[[Component, Mapping[str, Value]], None]] = {
    "specify-light": specify_light,
    "specify": specify,
    "specify-refuses": specify_refuses,
}


def carry_out(order: Mapping[str, Any]) -> None:
    """Carry out an order: see `zoo.testing.kit`."""
    sys.path[:] = order["path"]
    listed = {
        record["name"]: component_from_json(record) for record in order["components"]["backbone"]
    }

    def do(check: Mapping[str, str]) -> None:
        name = check["component"].rpartition("/")[2]
        CHECKS[check["name"]](listed[name], order["given"].get(name, {}))

    outcomes.carry_out(order, do)


if __name__ == "__main__":
    forking.serve(carry_out)
