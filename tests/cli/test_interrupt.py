from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from zoo import corridor
from zoo.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_an_interrupted_process_exits_130_and_its_run_goes_on_to_the_same_end(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr("os.fsync", int)
    torch.set_num_threads(1)
    settings = {"weights": "none", "train": "full", "epochs": 25, "image_size": 32, "device": "cpu"}
    spec = "torchvision/mobilenet_v3_small+linear+ce"
    sets = [f"--set={name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "zoo", "run", spec, "--data", str(images), "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, str(tmp_path / "run"), *sets], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("full 1/"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130, lines
    assert lines[-2:] == ["error: Stopped by SIGINT.\n", f"Go on with: zoo resume {tmp_path}/run\n"]
    resumed = corridor.resume(tmp_path / "run", listener=Silent())
    whole = corridor.run(spec, images, out=tmp_path / "whole", listener=Silent(), settings=settings)
    model = "model/model.safetensors"
    assert (resumed.folder / model).read_bytes() == (whole.folder / model).read_bytes()
    assert resumed.summary["val"] == whole.summary["val"]
