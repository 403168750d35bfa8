"""For tests of plugins: the conformance kit, and fixtures. Documented and stable.

::

    # tests/conftest.py
    pytest_plugins = ["zoo.testing"]

    # tests/test_contract.py
    from zoo.testing import check_plugin

    def test_the_plugin_keeps_the_contract():
        check_plugin("zoo-acme")

With that line in the outermost `conftest.py` (or `pytest -p zoo.testing`) tests may take the
fixtures `zoo_home`, `zoo_catalog`, `zoo_pictures` and `zoo_tiny`. They load only where somebody
asks: zoo registers no plugin of pytest's. `check_plugin` needs no pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.testing.fixtures import Tiny as Tiny
    from zoo.testing.fixtures import zoo_catalog as zoo_catalog
    from zoo.testing.fixtures import zoo_home as zoo_home
    from zoo.testing.fixtures import zoo_pictures as zoo_pictures
    from zoo.testing.fixtures import zoo_tiny as zoo_tiny
    from zoo.testing.kit import check_plugin as check_plugin
    from zoo.testing.kit import examine as examine
    from zoo.testing.report import Check as Check
    from zoo.testing.report import ContractBroken as ContractBroken
    from zoo.testing.report import Report as Report
    from zoo.testing.report import Result as Result

#: public name → the room that it lives in
_ROOMS = {
    "Check": "report",
    "ContractBroken": "report",
    "Report": "report",
    "Result": "report",
    "Tiny": "fixtures",
    "check_plugin": "kit",
    "examine": "kit",
    "_zoo_pictures": "fixtures",
    "zoo_catalog": "fixtures",
    "zoo_home": "fixtures",
    "zoo_pictures": "fixtures",
    "zoo_tiny": "fixtures",
}

__all__ = sorted(name for name in _ROOMS if not name.startswith("_"))  # noqa: PLE0605 - sorted by construction


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each name has its own type
    """Import the room of a public name on first use."""
    if name not in _ROOMS:
        message = f"module 'zoo.testing' has no attribute {name!r}"
        raise AttributeError(message)
    value = globals()[name] = getattr(import_module(f"zoo.testing.{_ROOMS[name]}"), name)
    return value


def __dir__() -> list[str]:
    """What is public, and what pytest must find."""
    return [*_ROOMS]
