from __future__ import annotations

import gc

import pytest

from zoo import imports
from zoo.imports import uncollected


def test_the_collector_waits_for_an_import_and_then_goes_on() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_objects_are_kept_for_good_only_in_a_process_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = gc.get_freeze_count()
    with uncollected():
        pass
    assert gc.get_freeze_count() == before
    monkeypatch.setattr(imports, "_ours", False)
    imports.process_is_ours()
    try:
        with uncollected():
            pass
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
