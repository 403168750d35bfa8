"""A finished model's card: `model.json`, all that prediction needs beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo import inside, manifest
from zoo.components import Preprocess, preprocess_from_json
from zoo.contracts import HeadContext
from zoo.errors import BadData, BadWeights
from zoo.installed import Wanted
from zoo.plugins.door import preprocess_complaints
from zoo.runfolder import MODEL_CARD
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from zoo.components import Kind

#: the key of the hash of all the others: a flipped bit is no other preprocessing
OWN_HASH = "card_sha256"
_LARGEST = SETTINGS["image_size"].maximum or 0


@dataclass(frozen=True, slots=True)
class Card:
    """What a model says of itself.

    Args:
        spec: canonical.
        classes: names, in the order of the logits.
        preprocess: what its images go through.
        backbone: which, of which plugin.
        head: likewise.
        features: D.
        views: V, of the training.
        precision: that the figures were measured in.
        channels_last: likewise.
        device: the kind that they were measured on, as torch spells it; empty where not told.
        folded: whether its BatchNorms were folded into the convolutions, and shall be again.
        layout: the backbone's `Facts.layout`.
        sha256: of model.safetensors, hex.
    """

    spec: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    backbone: Wanted
    head: Wanted
    features: int
    views: int
    precision: str
    channels_last: bool
    folded: bool
    layout: str
    sha256: str
    device: str = ""

    @property
    def context(self) -> HeadContext:
        """What its head is built from."""
        return HeadContext(features=self.features, classes=len(self.classes), views=self.views)


def read_card(folder: Path) -> Card:
    """The card in a model's folder; its file must be there.

    Raises:
        BadWeights: it is damaged, or says what no model of zoo's says.
    """
    path = folder / MODEL_CARD
    try:
        said = inside.read_object(path)
        if said.pop(OWN_HASH) != manifest.own_hash(said):
            raise ValueError("its SHA-256 of itself is wrong: it was changed")  # noqa: TRY301 - told below
        return _card(said)
    except KeyError as error:
        reason = f"it lacks {error}"
    except BadData as error:
        raise BadWeights(error.message, hint=error.hint) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = str(error)
    message = f"{path} cannot be used: {reason}."
    raise BadWeights(message, hint="Restore it from a copy of the run.")


def _card(said: Mapping[str, Any]) -> Card:
    return Card(
        spec=_text(said["spec"]),
        classes=_classes(said["classes"]),
        preprocess=_preprocess(said["preprocess"]),
        backbone=_wanted("backbone", said["backbone"]),
        head=_wanted("head", said["head"]),
        features=_count(said["features"]),
        views=_count(said["views"]),
        precision=_one_of(said["precision"], ("fp32", "bf16")),
        channels_last=bool(said["channels_last"]),
        folded=bool(said.get("folded", False)),  # models from before it was done lack it
        layout=_one_of(said["layout"], ("conv", "token", "")),
        sha256=_text(said["sha256"]),
        device=_text(said.get("device", "")),
    )


def _text(value: object) -> str:
    return _held(value, str, lambda _: True)


def _count(value: object) -> int:
    return _held(value, int, lambda number: not isinstance(value, bool) and 0 < number < 10**7)


def _one_of(value: object, known: tuple[str, ...]) -> str:
    return _held(value, str, lambda text: text in known)


def _held(value: object, kind: type, fits: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - of the kind
    """The value, if it is what a card may say."""
    if not isinstance(value, kind) or not fits(value):
        message = f"{value!r:.60} stands where it cannot"
        raise ValueError(message)
    return value


def _classes(value: object) -> tuple[str, ...]:
    names = tuple(_text(name) for name in _held(value, list, bool))
    return _held(names, tuple, lambda _: len(set(names)) == len(names))


def _wanted(kind: Kind, value: Mapping[str, Any]) -> Wanted:
    name, plugin, version = (_text(value[key]) for key in ("name", "plugin", "version"))
    return Wanted(kind, name, plugin, version, _held(value["options"], dict, lambda _: True))


def _preprocess(value: Mapping[str, Any]) -> Preprocess:
    recipe = preprocess_from_json(value)
    wrong = [*preprocess_complaints(recipe)]
    if max(*recipe.size, *recipe.resize) > _LARGEST:
        wrong.append(f"has sizes above {_LARGEST} pixels")
    if wrong:
        message = f"its preprocessing {wrong[0]}"
        raise ValueError(message)
    return recipe
