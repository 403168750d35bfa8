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
from typing import TYPE_CHECKING, Any, cast

import timm
import torch
from timm.data import resolve_data_config
from timm.models import _registry
from torch import nn

import zoo
from zoo.components import Crop, Interpolation, to_json
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
    """Every model of the installed timm with its fetchable tags; builds none."""
    return [to_json_record(name) for name in timm.list_models()]


def to_json_record(name: str) -> Record:
    """The model's name and weights as the catalog has them."""
    default = timm.get_pretrained_cfg(name)
    tags = [timm.get_pretrained_cfg(tag) for tag in _registry._model_with_tags[name]]  # noqa: SLF001 - timm tells tags nowhere else
    tags = [cfg for cfg in tags if cfg.has_weights]
    chosen = default.tag if default.has_weights else tags[0].tag if tags else None
    weights = [to_json(weights_of(cfg, default=cfg.tag == chosen)) for cfg in tags]
    return {"name": name, **({"weights": weights} if weights else {})}


def weights_of(cfg: PretrainedCfg, *, default: bool) -> zoo.Weights:
    """One pretrained tag as data."""
    hub = f"hf-hub:{cfg.hf_hub_id}" if cfg.hf_hub_id else ""
    if hub and cfg.hf_hub_filename:
        hub += f"/{cfg.hf_hub_filename}"
    found = None if hub else HASH.search(cfg.url or "")
    licence = cfg.license or ""
    return zoo.Weights(
        tag=cfg.tag,
        default=default,
        preprocess=preprocess_of(cfg),
        source=hub or cfg.url or "",
        sha256=found[1] if found else "",
        licence=SPDX.get(licence, licence),
        classes=cfg.num_classes,
    )


def preprocess_of(cfg: PretrainedCfg) -> zoo.Preprocess:
    """What `timm.data.create_transform` would do in evaluation, as data."""
    data = resolve_data_config(pretrained_cfg=cfg.to_dict())
    height, width = data["input_size"][1:]
    share = data["crop_pct"]
    return zoo.Preprocess(
        size=(height, width),
        resize=(math.floor(height / share), math.floor(width / share)),
        crop=cast("Crop", data["crop_mode"]),
        interpolation=cast("Interpolation", data["interpolation"]),
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
    )


def facts_of(name: str) -> Record:
    """Builds the model, runs it, and says what it is: `facts` and the options that it `takes`."""
    size = tuple(timm.get_pretrained_cfg(name).input_size[1:])
    model, device = _built(name)
    features = _width(model, size, device)
    facts = zoo.Facts(
        params=sum(parameter.numel() for parameter in model.parameters()),
        features=features,
        input_size=size,
        layout=layout_of(model),
    )
    takes = _takes(name, model, size)
    return {"facts": to_json(facts), **({"takes": takes} if takes else {})}


def layout_of(model: nn.Module) -> str:
    """`"conv"` or `"token"`, by the share of convolutions among the layers with weights."""
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    linear = sum(isinstance(module, nn.Linear) for module in model.modules())
    return "conv" if convolutions >= CONV_SHARE * (convolutions + linear) else "token"


def _built(name: str) -> tuple[nn.Module, str]:
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                model = build(name, None)
            size = tuple(timm.get_pretrained_cfg(name).input_size[1:])
            _width(model, size, device)
        except Exception:
            if device == "cpu":
                raise
        else:
            return model, device
    raise AssertionError


def _width(model: nn.Module, size: tuple[int, ...], device: str) -> int:
    with torch.inference_mode():
        features = model.eval()(torch.zeros(2, 3, *size, device=device))
    rows, width = features.shape
    if rows != 2:
        message = f"features of shape {tuple(features.shape)}"
        raise ValueError(message)
    return int(width)


def _takes(name: str, model: nn.Module, size: tuple[int, ...]) -> list[str]:
    known = inspect.signature(type(model).__init__).parameters
    takes = ["drop_path_rate"] if "drop_path_rate" in known else []
    if "img_size" in known and _resizes(name, size):
        takes.append("img_size")
    return takes


def _resizes(name: str, size: tuple[int, ...]) -> bool:
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
    known: dict[str, Record] = {}
    if CATALOG.exists():
        known = {item["name"]: item for item in json.loads(CATALOG.read_text("utf-8"))["models"]}
    for record in records:
        kept = ("facts", "takes") if not asked.all else ()
        record.update({key: known[record["name"]][key] for key in kept if key in known.get(record["name"], {})})
    write(records)
    missing = [r for r in records if "facts" not in r and fnmatch(r["name"], asked.only)]
    failed = measure(records, missing, asked.jobs)
    return 1 if failed else 0


def measure(records: list[Record], missing: list[Record], jobs: int) -> int:
    """Fills in the facts of `missing`, writing the catalog as they come; how many failed."""
    failed = 0
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        futures = {pool.submit(facts_of, record["name"]): record for record in missing}
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
