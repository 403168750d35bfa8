"""The one door from the cold rooms to the hot ones.

A cold room that needs tensors asks here at run time; so no import statement of a cold room leads to
torch, and a look at who imports this file tells who may open the door.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from zoo import machine
from zoo.imports import uncollected


def is_open() -> bool:
    """Whether torch is imported, by whomever."""
    return "torch" in sys.modules


def room(name: str) -> Any:  # noqa: ANN401 - a module; its functions are typed where they live
    """The module `zoo.training.<name>`; the first call imports torch, which costs seconds."""
    machine.settle()
    if not is_open():
        with uncollected():
            return import_module(f"zoo.training.{name}")
    return import_module(f"zoo.training.{name}")
