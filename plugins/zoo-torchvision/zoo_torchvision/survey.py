"""Writes `catalog.json`: what the installed torchvision offers, and what only building tells.

::

    python -m zoo_torchvision.survey            everything anew (half a minute)
    python -m zoo_torchvision.survey --quick    names and tags only, to standard output
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torchvision
from torch import nn
from torchvision import models

import zoo
from zoo_torchvision.build import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchvision.models import WeightsEnum

    Record = dict[str, Any]

CATALOG = Path(__file__).with_name("catalog.json")
#: the hash in a file's name, as torch.hub reads it
HASH = re.compile(r"-([0-9a-f]{8,64})\.")
#: weights that state no licence come under torchvision's own
LICENCE = "BSD-3-Clause"
#: the licence that the SWAG weights point at
LICENCES = {"https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "CC-BY-NC-4.0"}
#: below this share of convolutions among the layers with weights a network works on tokens
CONV_SHARE = 1 / 3


def names_and_tags() -> list[Record]:
    """Every classification model of the installed torchvision with its weights; builds none."""
    records = []
    for name in models.list_models(module=models):
        tags = models.get_model_weights(name)
        default = cast("Any", tags).DEFAULT
        weights = [zoo.to_json(weights_of(tag, default=tag is default)) for tag in tags]
        records.append({"name": name, "weights": weights})
    return records


def weights_of(tag: WeightsEnum, *, default: bool) -> zoo.Weights:
    """One weights tag as data; all of it stands in torchvision itself."""
    found = HASH.search(tag.url)
    stated = tag.meta.get("license")
    top1 = tag.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    return zoo.Weights(
        tag=tag.name,
        default=default,
        preprocess=preprocess_of(tag),
        source=tag.url,
        sha256=found[1] if found else "",
        licence=LICENCES.get(stated, stated) if stated else LICENCE,
        classes=len(tag.meta["categories"] or ()),
        top1=None if math.isnan(top1) else top1,
    )


def preprocess_of(tag: WeightsEnum) -> zoo.Preprocess:
    """What the tag's transforms object does, as data."""
    transforms = tag.transforms()
    (size,) = transforms.crop_size
    (resize,) = transforms.resize_size
    return zoo.Preprocess(
        size=(size, size),
        resize=(resize, resize),
        interpolation=cast("zoo.Interpolation", transforms.interpolation.value),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )


def facts_of(name: str, size: tuple[int, int]) -> Record:
    """Builds the model, runs it, and says what it is: `facts` and the options that it `takes`."""
    with torch.device("meta"):
        model = build(name, None)
    facts = zoo.Facts(
        params=sum(parameter.numel() for parameter in model.parameters()),
        features=_width(model, size),
        input_size=size,
        layout="conv" if _convolves(model) else "token",
    )
    takes = ["img_size"] if isinstance(model, models.VisionTransformer | models.MaxVit) else []
    return {"facts": zoo.to_json(facts), **({"takes": takes} if takes else {})}


def _width(model: nn.Module, size: tuple[int, int]) -> int:
    with torch.inference_mode():
        rows, width = model.eval()(torch.zeros(2, 3, *size, device="meta")).shape
    if rows != 2:  # noqa: PLR2004 - the batch of the line above
        message = f"{rows} rows of features for 2 images"
        raise ValueError(message)
    return int(width)


def _convolves(model: nn.Module) -> bool:
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    linear = sum(isinstance(module, nn.Linear) for module in model.modules())
    return convolutions >= CONV_SHARE * (convolutions + linear)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one of the uses at the top of this file."""
    parser = argparse.ArgumentParser(prog="python -m zoo_torchvision.survey")
    parser.add_argument("--quick", action="store_true", help="names and tags to standard output")
    asked = parser.parse_args(arguments)
    records = names_and_tags()
    if asked.quick:
        json.dump(records, sys.stdout)
        return 0
    for record in records:
        default = next(item for item in record["weights"] if item.get("default"))
        size = default.get("preprocess", {}).get("size", zoo.Preprocess().size)
        record.update(facts_of(record["name"], tuple(size)))
    # One model a line, so that a new torchvision makes a readable difference.
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    release = torchvision.__version__.partition("+")[0]
    text = f'{{"torchvision":"{release}","models":[\n{lines}\n]}}\n'
    CATALOG.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
