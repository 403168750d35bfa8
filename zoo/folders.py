"""Where zoo keeps things of the user's: caches and configuration."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_config_path


def cache() -> Path:
    """The cache folder (catalogs, downloaded weights, scratch): `$ZOO_CACHE`, else the platform's.

    It is made on first use by whoever writes into it; deleting it loses nothing but time.
    """
    return Path(os.environ["ZOO_CACHE"]) if os.environ.get("ZOO_CACHE") else user_cache_path("zoo")


def config() -> Path:
    """Where the user's `registry.toml` and `config.toml` lie: `$ZOO_CONFIG`, or the default."""
    if os.environ.get("ZOO_CONFIG"):
        return Path(os.environ["ZOO_CONFIG"])
    return user_config_path("zoo")
