"""Where things of zoo's and of the user's are: caches, configuration, the registry that ships.

As text for the little that starts without pathlib and platformdirs, as paths for all else.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

#: the name of every registry file
REGISTRY = "registry.toml"
#: the name of the file with the user's choices
CONFIG = "config.toml"


def cache() -> Path:
    """The cache folder (catalogs, downloaded weights, scratch): `$ZOO_CACHE`, else the platform's.

    It is made on first use by whoever writes into it; deleting it loses nothing but time.
    """
    from pathlib import Path

    return Path(place("cache"))


def config() -> Path:
    """Where the user's `registry.toml` and `config.toml` lie: `$ZOO_CONFIG`, or the default."""
    from pathlib import Path

    return Path(place("config"))


def place(what: Literal["cache", "config"]) -> str:
    """The folder of that name, as text."""
    named = os.environ.get(f"ZOO_{what.upper()}")
    return named or _desktop(what) or _platform(what)


def built_in_registry() -> str:
    """The registry that zoo ships: in the package in a wheel, beside it in a checkout."""
    package = os.path.dirname(__file__)  # noqa: PTH120 - no pathlib at the start
    inside = f"{package}{os.sep}{REGISTRY}"
    beside = f"{os.path.dirname(package)}{os.sep}{REGISTRY}"  # noqa: PTH120 - likewise
    return inside if os.path.exists(inside) else beside  # noqa: PTH110 - likewise


def _desktop(what: Literal["cache", "config"]) -> str:
    """What platformdirs says in an ordinary Linux session; empty where it must be asked itself."""
    if sys.platform != "linux" or "ANDROID_DATA" in os.environ:
        return ""
    base = os.environ.get(f"XDG_{what.upper()}_HOME", "")
    home = os.environ.get("HOME", "")
    if base.startswith("/"):
        return f"{base.rstrip('/')}/zoo"
    return f"{home.rstrip('/')}/.{what}/zoo" if not base and home.startswith("/") else ""


def _platform(what: Literal["cache", "config"]) -> str:
    import platformdirs

    found = {"cache": platformdirs.user_cache_dir, "config": platformdirs.user_config_dir}
    return found[what]("zoo")
