"""The one door from the cold rooms to the hot ones.

A cold room that needs tensors asks here at run time; so no import statement of a cold room leads to
torch, and a look at who imports this file tells who may open the door.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from zoo.imports import uncollected


def is_open() -> bool:
    """Whether torch is imported, by whomever."""
    return "torch" in sys.modules


def room(name: str) -> Any:  # noqa: ANN401 - a module; its functions are typed where they live
    """The module `zoo.training.<name>`; the first call imports torch, which costs seconds."""
    if not is_open():
        # Read by OpenMP when torch loads it. Threads that wait by spinning take the cores from the
        # ones that work, wherever cores are few or shared: steps of a small head become tenfold
        # slower. A user's own setting stays.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        with uncollected():
            return import_module(f"zoo.training.{name}")
    return import_module(f"zoo.training.{name}")
