from __future__ import annotations

import os
import random
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.plugins.guard import undisturbed


def meddle() -> None:
    os.chdir("/")
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global state is what is meddled with
    torch.manual_seed(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warnings.simplefilter("ignore")


def surroundings() -> list[object]:
    return [
        Path.cwd(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]  # noqa: NPY002 - as below
        torch.get_rng_state().tolist(),
        signal.getsignal(signal.SIGTERM),
        [*warnings.filters],
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_block_changes_is_put_back_however_it_ends(*, fails: bool) -> None:
    before = surroundings()
    with pytest.raises(KeyError) if fails else warnings.catch_warnings(), undisturbed():
        meddle()
        assert surroundings() != before
        if fails:
            raise KeyError
    assert surroundings() == before


def test_a_module_may_draw_from_torchs_state_when_it_is_built() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        with undisturbed(torch_random=False):
            first = torch.rand(3)
        assert not torch.equal(first, torch.rand(3))


def test_a_folder_that_is_gone_and_another_thread_are_no_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    monkeypatch.chdir(folder)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with undisturbed():
                os.chdir("/")
                folder.rmdir()
            folder.mkdir()
            os.chdir(folder)
            folder.rmdir()
            with undisturbed():
                pass
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []
