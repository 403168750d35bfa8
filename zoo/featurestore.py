"""Features of frozen backbones, kept in the user's cache folder in durable shards.

A shard is one safetensors file, written whole or not at all, named by the hash of its bytes; so a
run that is killed loses the shard in hand, runs that share a store never meet in one file, and a
damaged shard is computed anew. A store belongs to one recipe (weights, preprocessing, views,
device); another recipe is another folder.

However much is kept, memory is taken by what is asked for alone: of a shard the names of its rows
are read, and where one is wanted the file is mapped and that row copied.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from zoo import caches, folders
from zoo.errors import StorageFault
from zoo.files import write_bytes, write_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
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


def probably_known(wanted: Mapping[str, Any], images: Collection[str], *, views: bool) -> set[str]:
    """Which of the images some store knows whose recipe has these values among others.

    A guess: weights, device and versions may be others, and no shard is looked at but for the names
    in its header.

    Args:
        wanted: see `recipe`.
        images: SHA-256 of the files, hex.
        views: whether features of augmented views are meant.
    """
    wanted = json.loads(json.dumps(wanted))
    asked, known = set(images), set[str]()
    for file in (folders.cache() / "features").glob(f"*/{_RECIPE}"):
        try:
            told = json.loads(file.read_text())
            if ("views" in told) == views and told | wanted == told:
                for shard in file.parent.glob(_SHARDS):
                    known |= asked.intersection(_digests(shard))
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
        #: where rows lie that were asked for: the mapped features of a shard, and which of them
        self._places: dict[str, tuple[Any, int]] = {}
        #: rows that could not be written
        self._unwritten: dict[str, NDArray[np.float32]] = {}

    def known(self, digests: Collection[str]) -> set[str]:
        """Those of the images that the store knows, and goes on knowing if it is cleared meanwhile.

        Args:
            digests: SHA-256 of the files, hex.
        """
        asked = set(digests)
        wanted = asked - self._places.keys() - self._unwritten.keys()
        if wanted:
            caches.used(self.folder)
            for shard in self._shards():
                self._places |= _places(shard, wanted)
        return {one for one in asked if one in self._places or one in self._unwritten}

    def find(self, digests: Collection[str]) -> dict[str, NDArray[np.float32]]:
        """Features `[K, D]` of those images that the store knows, copied.

        Args:
            digests: SHA-256 of the files, hex.
        """
        known = self.known(digests)
        return {one: self._row(one) for one in dict.fromkeys(digests) if one in known}

    def _row(self, digest: str) -> NDArray[np.float32]:
        if digest in self._unwritten:
            return self._unwritten[digest]
        features, place = self._places[digest]
        row: NDArray[np.float32] = features[place]
        return row

    def add(self, digests: Sequence[str], features: NDArray[np.float32]) -> None:
        """Keep features `[n, K, D]` of n images; where the cache cannot be written, for this run.

        Args:
            digests: SHA-256 of the n files, hex; an empty one (unreadable) is left out.
            features: float32, contiguous.
        """
        kept = [place for place, digest in enumerate(digests) if digest]
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
            self._unwritten |= {digests[place]: features[place] for place in kept}

    def _shards(self) -> list[Path]:
        try:
            return sorted(self.folder.glob(_SHARDS))
        except OSError:  # somebody cleared the cache
            return []


def _places(shard: Path, wanted: Collection[str]) -> dict[str, tuple[Any, int]]:
    """Where the wanted rows of a shard lie; nothing of one that is damaged.

    Returns:
        By digest the shard's mapped features, of which `[place]` is a copy, and the place. Nothing
        is held but the mapping, which takes no memory and outlives the file.
    """
    try:
        names = _digests(shard)
        there = {name: place for place, name in enumerate(names) if name in wanted}
        if not there:
            return {}
        mapped = safe_open(shard, "numpy").get_slice("features")
        with shard.open("rb") as stream:
            whole = hashlib.file_digest(stream, "sha256").hexdigest()
        if whole[:_NAME_LENGTH] != shard.stem[-_NAME_LENGTH:] or _rows(mapped) != len(names):
            return {}
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return {}
    return {name: (mapped, place) for name, place in there.items()}


def _rows(mapped: Any) -> int:  # noqa: ANN401 - safetensors does not name its type
    count: int = mapped.get_shape()[0]
    return count


def _digests(shard: Path) -> list[str]:
    """The names of a shard's rows, from its header."""
    with shard.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(min(length, _LONGEST_HEADER)))
    return str(header["__metadata__"]["digests"]).split("\n")
