from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from zoo import folders, registry


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": "/home/x"},
        {"HOME": "/home/x/"},
        {"HOME": "/"},
        {"HOME": "here"},
        {"HOME": ""},
        {"HOME": "/home/x", "XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/etc/c/"},
        {"HOME": "/home/x", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""},
        {"HOME": "/home/x", "XDG_CACHE_HOME": "c", "XDG_CONFIG_HOME": "~/c"},
        {"XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/d"},
        {"XDG_CACHE_HOME": "/", "XDG_CONFIG_HOME": "//d"},
        {},
    ],
)
def test_the_folders_are_where_platformdirs_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "ZOO_CACHE", "ZOO_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert folders.cache() == platformdirs.user_cache_path("zoo")
    assert folders.config() == platformdirs.user_config_path("zoo")


def test_the_users_own_word_counts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", "there")
    monkeypatch.setenv("ZOO_CONFIG", "/elsewhere")
    assert (folders.cache(), folders.config()) == (Path("there"), Path("/elsewhere"))


def test_the_registry_that_ships_is_there() -> None:
    assert registry.built_in().is_file()
