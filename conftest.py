"""What every test shares: no test reads or writes the user's own folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A shared machine's pauses are no fault of the code under test.
settings.register_profile("zoo", deadline=None)
settings.load_profile("zoo")


@pytest.fixture(autouse=True, scope="session")
def isolated_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point the cache and the configuration at folders of this test run.

    The catalog's cache is shared by the tests of a run: building it takes seconds.
    """
    folder = tmp_path_factory.mktemp("user")
    old = {key: os.environ.get(key) for key in ("ZOO_CACHE", "ZOO_CONFIG")}
    os.environ["ZOO_CACHE"] = str(folder / "cache")
    os.environ["ZOO_CONFIG"] = str(folder / "config")
    yield folder
    for key, value in old.items():
        if value is None:
            del os.environ[key]
        else:
            os.environ[key] = value
