"""What every test shares: no test reads or writes the user's own folders."""

from __future__ import annotations

import os
import signal
import sys
from importlib.machinery import PathFinder
from importlib.metadata import MetadataPathFinder
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["zoo.testing"]  # as an author of plugins has it

#: what a finder of distributions can do
FINDS = "find_distributions"
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


@pytest.fixture
def no_strangers_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find distributions as Python finds them, which is how a process of zoo does.

    Libraries that other tests import here bring finders of their own (the backport of
    `importlib.metadata` does, and takes Python's away), and with those no listing is kept.
    """
    finds = staticmethod(MetadataPathFinder.find_distributions)
    monkeypatch.setattr(PathFinder, FINDS, finds, raising=False)
    kept = [one for one in sys.meta_path if one is PathFinder or not hasattr(one, FINDS)]
    monkeypatch.setattr(sys, "meta_path", kept)


@pytest.fixture(autouse=True, scope="session")
def heeded_signals() -> Iterator[None]:
    """Let signals do what they do in a terminal.

    A shell without job control lets what it starts in the background ignore Ctrl-C, `nohup` lets it
    ignore SIGHUP; both are inherited, and zoo respects them.
    """
    usual = {
        "SIGINT": signal.default_int_handler,
        "SIGTERM": signal.SIG_DFL,
        "SIGHUP": signal.SIG_DFL,
        "SIGUSR1": signal.SIG_DFL,
    }
    ignored = [
        number
        for number in map(signal.Signals.__members__.get, usual)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN
    ]
    for number in ignored:
        signal.signal(number, usual[number.name])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
