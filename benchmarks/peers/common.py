"""What each peer's script takes, and the one line of JSON that it prints."""

from __future__ import annotations

import argparse
import json
import os
from importlib import metadata
from pathlib import Path

ARCHITECTURE = "tf_efficientnet_lite0"
#: least share of a picture that a random crop keeps, and strength of the colour jitter: crop and
#: flip for a frozen backbone; what zoo draws, where the whole network is trained
CROP = {"probe": 0.35, "full": 0.25}
JITTER = {"probe": 0.0, "full": 0.2}
#: AdamW, cosine: for a linear head on frozen features the best of 5e-4 to 2e-2 (flowers1k, 10
#: epochs, means over five splits of 88.3 to 90.7 %); for a whole network the usual
RATE = {"probe": 5e-3, "full": 5e-4}
_COMMON = ("torch", "torchvision", "timm", "pillow", "numpy")


def arguments(about: str | None) -> argparse.Namespace:
    """The command line; `data` has the folders `train` and `val`, with a folder for each class."""
    parser = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="holds train/CLASS and val/CLASS")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors, timm's keys")
    parser.add_argument("--train", choices=("probe", "full"), default="probe")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="decoding processes")
    parser.add_argument("--out", type=Path, required=True, help="where the model is saved")
    return parser.parse_args()


def report(top1: float, seconds: float, *packages: str) -> None:
    """Print the result.

    Args:
        top1: on `val`, 0..1.
        seconds: of training: epochs, each with its validation, and the start of the loaders'
            processes; without imports, building and saving.
        packages: whose versions count, besides the common ones.
    """
    versions = {name: metadata.version(name) for name in (*_COMMON, *packages)}
    print(json.dumps({"top1": top1, "seconds": seconds, "versions": versions}))
