"""Features of frozen backbones, kept in the user's cache folder in durable shards.

A shard is one safetensors file, written whole or not at all, named by the hash of its bytes; so a
run that is killed loses the shard in hand, runs that share a store never meet in one file, and a
damaged shard is computed anew. A store belongs to one recipe (weights, preprocessing, views,
device); another recipe is another folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from zoo import caches, folders
from zoo.errors import StorageFault
from zoo.files import write_bytes, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from zoo.plan import Plan

SCHEMA = 1
_RECIPE = "recipe.json"
_NAME_LENGTH = 16
#: of a shard, bytes; safetensors takes no longer one
_LONGEST_HEADER = 100_000_000
_SHARDS = "shard-*.safetensors"


def recipe(plan: Plan) -> dict[str, Any]:
    """What is known of a store's recipe before the weights are read and the device is chosen."""
    backbone = plan.backbone
    return {
        "backbone": backbone.full_name,
        "plugin": f"{backbone.plugin} {backbone.version}",
        "options": dict(backbone.options),
        "preprocess": asdict(plan.preprocess),
    }


def probably_known(wanted: Mapping[str, Any], *, views: bool) -> set[str]:
    """SHA-256 of the images that some store knows whose recipe has these values among others.

    A guess: weights, device and versions may be others, and no shard is looked at but for the names
    in its header.

    Args:
        wanted: see `recipe`.
        views: whether features of augmented views are meant.
    """
    wanted = json.loads(json.dumps(wanted))
    known: set[str] = set()
    for file in (folders.cache() / "features").glob(f"*/{_RECIPE}"):
        try:
            told = json.loads(file.read_text())
            if ("views" in told) == views and told | wanted == told:
                for shard in file.parent.glob(_SHARDS):
                    known.update(_digests(_head(shard)))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged: then it is not known
    return known


class FeatureStore:
    """What is known of one recipe's features, by the hash of an image's bytes.

    Args:
        recipe: everything that decides a feature's value beside the image; JSON types.
    """

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        """Read nothing yet."""
        self.recipe = {"schema": SCHEMA, **recipe}
        text = json.dumps(self.recipe, sort_keys=True)
        self.folder: Path = folders.cache() / "features" / hashlib.sha256(text.encode()).hexdigest()
        self._known: dict[str, NDArray[np.float32]] | None = None

    def find(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Features `[K, D]` of those images that the store knows.

        Args:
            digests: SHA-256 of the files, hex.
        """
        if self._known is None:
            caches.used(self.folder)
            self._known = self._read()
        return {digest: self._known[digest] for digest in digests if digest in self._known}

    def add(self, digests: Sequence[str], features: NDArray[np.float32]) -> None:
        """Keep features `[n, K, D]` of n images; where the cache cannot be written, for this run.

        Args:
            digests: SHA-256 of the n files, hex; an empty one (unreadable) is left out.
            features: float32, contiguous.
        """
        kept = [place for place, digest in enumerate(digests) if digest]
        known = self._known if self._known is not None else self._read()
        self._known = known | {digests[place]: features[place] for place in kept}
        data = save(
            {"features": np.ascontiguousarray(features[kept])},
            {"digests": "\n".join(digests[place] for place in kept)},
        )
        name = hashlib.sha256(data).hexdigest()[:_NAME_LENGTH]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / _RECIPE).exists():
                write_json(self.folder / _RECIPE, self.recipe)
            write_bytes(self.folder / f"shard-{name}.safetensors", data)
        except (OSError, StorageFault):
            # A cache that cannot be written costs time, not the run.
            return

    def _read(self) -> dict[str, NDArray[np.float32]]:
        known: dict[str, NDArray[np.float32]] = {}
        try:
            files = sorted(self.folder.glob(_SHARDS))
        except OSError:  # somebody cleared the cache
            return known
        for file in files:
            try:
                data = file.read_bytes()
                if hashlib.sha256(data).hexdigest()[:_NAME_LENGTH] != file.stem[-_NAME_LENGTH:]:
                    continue
                features = load(data)["features"]
                known |= zip(_digests(data), features, strict=True)
            except (OSError, SafetensorError, ValueError, KeyError):
                continue
        return known


def _head(file: Path) -> bytes:
    """A shard's first bytes, with its header."""
    with file.open("rb") as stream:
        length = stream.read(8)
        return length + stream.read(min(int.from_bytes(length, "little"), _LONGEST_HEADER))


def _digests(shard: bytes) -> list[str]:
    """The names of a shard's rows, from its header (which its hash has vouched for)."""
    length = int.from_bytes(shard[:8], "little")
    header = json.loads(shard[8 : 8 + length])
    digests: list[str] = header["__metadata__"]["digests"].split("\n")
    return digests
