"""A plugin-based model zoo for image classification: the public door.

Names are loaded when they are first used, so that `import zoo` costs a plugin nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.benching import bench as bench
    from zoo.components import ByOption as ByOption
    from zoo.components import Component as Component
    from zoo.components import Crop as Crop
    from zoo.components import Deprecated as Deprecated
    from zoo.components import Facts as Facts
    from zoo.components import Interpolation as Interpolation
    from zoo.components import Option as Option
    from zoo.components import Preprocess as Preprocess
    from zoo.components import Weights as Weights
    from zoo.components import component_from_json as component_from_json
    from zoo.components import to_json as to_json
    from zoo.contracts import Batch as Batch
    from zoo.contracts import HeadContext as HeadContext
    from zoo.contracts import HeadOutput as HeadOutput
    from zoo.contracts import LossContext as LossContext
    from zoo.corridor import run as run
    from zoo.errors import ZooError as ZooError
    from zoo.fetch import fetch_file as fetch_file
    from zoo.fetch import fetched_commit as fetched_commit
    from zoo.hooks import EpochEnd as EpochEnd
    from zoo.hooks import RunEnd as RunEnd
    from zoo.hooks import RunStart as RunStart
    from zoo.hooks import hookimpl as hookimpl
    from zoo.index import catalog as catalog
    from zoo.inference import load as load
    from zoo.replay import repeat as repeat
    from zoo.spec import Spec as Spec
    from zoo.spec import parse as parse
    from zoo.training.weights import load_weights as load_weights

__version__ = "0.1.0"

#: public name → the room that it lives in
_ROOMS = {
    "Batch": "zoo.contracts",
    "ByOption": "zoo.components",
    "Component": "zoo.components",
    "Crop": "zoo.components",
    "Deprecated": "zoo.components",
    "EpochEnd": "zoo.hooks",
    "Facts": "zoo.components",
    "HeadContext": "zoo.contracts",
    "HeadOutput": "zoo.contracts",
    "Interpolation": "zoo.components",
    "LossContext": "zoo.contracts",
    "Option": "zoo.components",
    "Preprocess": "zoo.components",
    "RunEnd": "zoo.hooks",
    "RunStart": "zoo.hooks",
    "Spec": "zoo.spec",
    "Weights": "zoo.components",
    "ZooError": "zoo.errors",
    "bench": "zoo.benching",
    "catalog": "zoo.index",
    "component_from_json": "zoo.components",
    "fetch_file": "zoo.fetch",
    "fetched_commit": "zoo.fetch",
    "hookimpl": "zoo.hooks",
    "load": "zoo.inference",
    "load_weights": "zoo.training.weights",
    "parse": "zoo.spec",
    "repeat": "zoo.replay",
    "run": "zoo.corridor",
    "to_json": "zoo.components",
}

__all__ = sorted(["__version__", *_ROOMS])  # noqa: PLE0605 - sorted by construction


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each name has its own type
    """Import the room of a public name on first use."""
    if name not in _ROOMS:
        message = f"module 'zoo' has no attribute {name!r}"
        raise AttributeError(message)
    value = globals()[name] = getattr(import_module(_ROOMS[name]), name)
    return value


def __dir__() -> list[str]:
    """Only what is public."""
    return __all__
