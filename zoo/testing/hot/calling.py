"""How a component is called: its target, the keywords, the device that has no memory."""

from __future__ import annotations

import inspect
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import torch

from zoo.options import read
from zoo.testing import state
from zoo.testing.hot.comparing import check_finite
from zoo.testing.hot.handling import is_heavy, on_meta
from zoo.testing.hot.rig import Backbone, Rig
from zoo.testing.outcomes import Fault, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zoo.components import Value

UNKNOWN = "zoo_no_such_option"


def target(rig: Rig) -> None:
    """It is there, and what it requires is installed."""
    rig.target()


def targets(named: Iterable[str]) -> None:
    """What components name that are not built here is there as well."""
    for text in named:
        module, _, attribute = text.partition(":")
        if not callable(getattr(import_module(module), attribute, None)):
            raise Fault(f"{text} is not there, or cannot be called")


def signature(rig: Rig) -> None:
    """The options are its keywords, and nothing else is."""
    called = rig.target()
    try:
        parameters = [*inspect.signature(called).parameters.values()]
    except (TypeError, ValueError) as error:
        raise NotApplicableError(f"its signature cannot be read: {error}") from error
    kinds = inspect.Parameter
    first = parameters[:1]
    if not first or first[0].kind in (kinds.KEYWORD_ONLY, kinds.VAR_KEYWORD):
        raise Fault(f"it cannot be called with its {_first_of(rig)} alone: {called!r:.80}")
    named = {one.name: one for one in parameters[1:]}
    takes_any = any(one.kind is kinds.VAR_KEYWORD for one in parameters)
    declared = (rig.declared or rig.component).options
    for name, option in declared.items():
        if name not in named:
            if takes_any:
                continue  # how it deals with them is for `builds` and `unknown-option`
            raise Fault(f"it has no keyword {name!r}, which is a declared option")
        _check_keyword(name, named[name], option.default)
    for name, one in named.items():
        if name in rig.component.options or one.kind in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL):
            continue
        if one.default is kinds.empty:
            raise Fault(f"it needs {name!r}, which is no declared option")
        if not isinstance(called, partial):  # made of a function that other components share
            raise Fault(f"it takes {name!r}, which is no declared option: nobody can set it")


def _first_of(rig: Rig) -> str:
    return "weights" if isinstance(rig, Backbone) else "context"


def _check_keyword(name: str, one: inspect.Parameter, declared: Value | None) -> None:
    if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
        raise Fault(f"its option {name!r} is no keyword")
    if one.default is one.empty:
        raise Fault(f"its keyword {name!r} has no default; {declared!r} is declared")
    if declared is None:
        return  # what is not given is the target's own to choose
    same = one.default == declared and isinstance(one.default, bool) == isinstance(declared, bool)
    if not same:
        raise Fault(f"its keyword {name!r} is {one.default!r} by default; {declared!r} is declared")


def unknown_option(rig: Rig) -> None:
    """A typing mistake in the plugin's own schema must not pass unnoticed."""
    device = "meta" if isinstance(rig, Backbone) else "cpu"
    try:
        with state.kept(), torch.device(device):
            rig.call_target(**{UNKNOWN: 1})
    except Exception:  # noqa: BLE001 - whichever way it refuses
        return
    raise Fault(f"it accepts {UNKNOWN}=1, which it does not declare")


def builds(rig: Rig, case: str) -> None:
    """It builds under the defaults, or with one option at an edge, and gives ordinary numbers."""
    if case:
        name, _, text = case.partition("=")
        value = read(rig.component.options[name], "" if text == "''" else text)
        rig = rig.under({name: value})
    if isinstance(rig, Backbone) and case:
        on_meta(rig)
        return
    if is_heavy(rig):
        return
    module = rig.stir(rig.module())
    for training in (True, False):
        outputs = rig.run(module.train(training), rig.inputs())
        check_finite(outputs, f"{rig.title}in {'training' if training else 'evaluation'}")


def meta(rig: Rig) -> None:
    """The host proves shapes there, without memory."""
    on_meta(rig)


CHECKS: dict[str, Callable[..., None]] = {
    "target": target,
    "signature": signature,
    "unknown-option": unknown_option,
    "builds": builds,
    "meta": meta,
}
