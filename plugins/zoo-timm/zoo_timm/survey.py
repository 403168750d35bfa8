# ruff: noqa: T201 - a program of its own: what it prints is its progress
"""Writes `catalog.json`: what the installed timm offers, and what only building its models tells.

::

    python -m zoo_timm.survey            names and tags anew, facts of the models that lack them
    python -m zoo_timm.survey --all      the facts of every model anew (half an hour on 2 cores)
    python -m zoo_timm.survey --quick    names and tags only, to standard output (no model is built)

A model is built and run on the meta device, which takes no memory; on the CPU where it cannot be.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import timm
import torch
from timm.data import resolve_data_config
from timm.models import _registry
from torch import nn

import zoo
from zoo_timm import merged
from zoo_timm.build import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from timm.models import PretrainedCfg

    Record = dict[str, Any]

CATALOG = Path(__file__).with_name("catalog.json")
#: the hash in a file's name, as torch.hub reads it
HASH = re.compile(r"-([0-9a-f]{8,64})\.")
#: models between two writes of the catalog
BATCH = 25
#: below this share of convolutions among the layers with weights a network works on tokens
CONV_SHARE = 1 / 3
#: licence names of timm → SPDX identifiers, where there is one
SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "unknown": "",
}


def names_and_tags() -> list[Record]:
    """Every model of the installed timm with its tags that have weights; builds none."""
    return [_named(name) for name in timm.list_models()]


def _named(name: str) -> Record:
    tags = _registry._model_with_tags[name]  # noqa: SLF001 - timm tells the order nowhere else
    cfgs = [cfg for cfg in map(_cfg, tags) if cfg.has_weights]
    theirs = _cfg(name)
    default = theirs.tag if theirs.has_weights else cfgs[0].tag if cfgs else None
    weights = [zoo.to_json(weights_of(cfg, default=cfg.tag == default)) for cfg in cfgs]
    return {"name": name, **({"weights": weights} if weights else {})}


def _cfg(name: str) -> PretrainedCfg:
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None:
        message = f"timm has no configuration of {name}"
        raise LookupError(message)
    return cfg


def weights_of(cfg: PretrainedCfg, *, default: bool) -> zoo.Weights:
    """One pretrained tag as data."""
    url = str(cfg.url or "")
    found = HASH.search(url)
    source, sha256 = (url, found[1] if found else "")
    if cfg.hf_hub_id:
        file = f"/{cfg.hf_hub_filename}" if cfg.hf_hub_filename else ""
        source, sha256 = f"hf-hub:{cfg.hf_hub_id}{file}", ""
    licence = cfg.license or ""
    return zoo.Weights(
        tag=cfg.tag or "",
        default=default,
        preprocess=preprocess_of(cfg),
        source=source,
        sha256=sha256,
        licence=SPDX.get(licence, licence),
        classes=cfg.num_classes,
    )


def preprocess_of(cfg: PretrainedCfg) -> zoo.Preprocess:
    """What `timm.data.create_transform` would do in evaluation, as data."""
    data: dict[str, Any] = resolve_data_config(pretrained_cfg=cfg.to_dict())
    height, width = data["input_size"][1:]
    share = data["crop_pct"]
    return zoo.Preprocess(
        size=(height, width),
        resize=(math.floor(height / share), math.floor(width / share)),
        crop=cast("zoo.Crop", data["crop_mode"]),
        interpolation=cast("zoo.Interpolation", data["interpolation"]),
        mean=_of_channels(data["mean"]),
        std=_of_channels(data["std"]),
    )


def _of_channels(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def facts_of(name: str) -> Record:
    """Builds the model, runs it, and says what it is: `facts` and the options that it `takes`."""
    cfg = _cfg(name)
    size = cfg.input_size[1:]
    model, device = _built(name, size)
    features = _width(model, size, device)
    facts = zoo.Facts(
        params=sum(parameter.numel() for parameter in model.parameters()),
        features=features,
        input_size=size,
        layout=layout_of(model),
    )
    takes = ["drop_path_rate"] if _drops_paths(model) else []
    if cfg.fixed_input_size and _resizes(name, size):
        takes.append("img_size")
    return {"facts": zoo.to_json(facts), **({"takes": takes} if takes else {})}


def layout_of(model: nn.Module) -> Literal["conv", "token"]:
    """`"conv"` or `"token"`, by the share of convolutions among the layers with weights."""
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    linear = sum(isinstance(module, nn.Linear) for module in model.modules())
    return "conv" if convolutions >= CONV_SHARE * (convolutions + linear) else "token"


def _built(name: str, size: tuple[int, int]) -> tuple[nn.Module, str]:
    """The model where it can be built and run: on the meta device, else on the CPU."""
    try:
        with torch.device("meta"):
            model = build(name, None)
        _width(model, size, "meta")
    except Exception:  # noqa: BLE001 - whatever meta tensors cannot do, the CPU will judge
        return build(name, None), "cpu"
    return model, "meta"


def _width(model: nn.Module, size: tuple[int, int], device: str) -> int:
    images = torch.zeros(2, 3, *size, device=device)
    with torch.inference_mode():
        features = model.eval()(images)
    rows, width = features.shape
    if rows != len(images):
        message = f"features of shape {tuple(features.shape)}"
        raise ValueError(message)
    return int(width)


def _drops_paths(model: nn.Module) -> bool:
    return "drop_path_rate" in inspect.signature(type(model).__init__).parameters


def _resizes(name: str, size: tuple[int, int]) -> bool:
    """Whether the model can be built for, and then runs at, twice its input size."""
    side = 2 * max(size)
    try:
        with torch.device("meta"):
            model = build(name, None, img_size=side)
        _width(model, (side, side), "meta")
    except Exception:  # noqa: BLE001 - whatever it raises, it does not take the option
        return False
    return True


def write(records: Sequence[Record]) -> None:
    """One model a line, so that a new timm makes a readable difference."""
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    text = f'{{"timm":"{timm.__version__}","models":[\n{lines}\n]}}\n'
    part = CATALOG.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(CATALOG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one of the uses at the top of this file."""
    parser = argparse.ArgumentParser(prog="python -m zoo_timm.survey")
    parser.add_argument("--quick", action="store_true", help="names and tags to standard output")
    parser.add_argument("--all", action="store_true", help="the facts of every model anew")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="facts of these models")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    asked = parser.parse_args(arguments)
    records = names_and_tags()
    if asked.quick:
        json.dump(records, sys.stdout)
        return 0
    if CATALOG.exists() and not asked.all:
        records = merged(records, json.loads(CATALOG.read_text("utf-8"))["models"])
    write(records)
    lacking = [
        each for each in records if "facts" not in each and fnmatch(each["name"], asked.only)
    ]
    return int(measure(records, lacking, asked.jobs) > 0)


def measure(records: list[Record], lacking: list[Record], jobs: int) -> int:
    """Fills in the facts of `lacking`, writing the catalog as they come; how many failed."""
    failed = 0
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = {pool.submit(facts_of, record["name"]): record for record in lacking}
        for done, future in enumerate(as_completed(futures), 1):
            record = futures[future]
            try:
                record.update(future.result())
            except Exception as error:  # noqa: BLE001 - one model's failure is a line, not the end
                failed += 1
                print(f"{record['name']}: {type(error).__name__}: {error}", file=sys.stderr)
            if done % BATCH == 0 or done == len(futures):
                write(records)
                print(f"{done} of {len(futures)}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
