"""A finished model: saved with all that prediction needs, loaded again, and asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from zoo.data.decode import upright_rgb
from zoo.data.preprocess import file_pixels, pixels
from zoo.errors import BadWeights
from zoo.files import make_folder, write_bytes, write_json
from zoo.manifest import own_hash
from zoo.training import threads
from zoo.training.assemble import Maker, build_model
from zoo.training.evaluate import refuse_infinite
from zoo.training.feeds import FEATURE_BATCH, filled, pixel_features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image

    from zoo.card import Card
    from zoo.components import Preprocess
    from zoo.training.device import Device
    from zoo.training.model import Model

WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of an image.

    Args:
        label: the most probable class.
        probability: of that class, 0..1.
        probabilities: of every class, by name.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class Predictor:
    """Images → class probabilities, by the very functions that validation goes through.

    Call it with a path, a PIL image, or a sequence of them.
    """

    def __init__(
        self,
        model: Model,
        classes: tuple[str, ...],
        preprocess: Preprocess,
        device: Device,
        spec: str,
    ) -> None:
        """Take a model for prediction only; it moves to the device in eval mode."""
        self.model = model.eval().to(device.torch).to(memory_format=device.memory_format)
        self.classes = classes
        self.preprocess = preprocess
        self.device = device
        self.spec = spec

    def __repr__(self) -> str:
        """What it is, in a line."""
        return f"<zoo model {self.spec}: {len(self.classes)} classes on {self.device.name}>"

    @overload
    def __call__(self, images: Path | str | Image) -> Prediction: ...
    @overload
    def __call__(self, images: Sequence[Path | Image]) -> list[Prediction]: ...
    @overload
    def __call__(self, images: list[str] | tuple[str, ...]) -> list[Prediction]: ...
    def __call__(
        self, images: Path | str | Image | Sequence[Path | str | Image]
    ) -> Prediction | list[Prediction]:
        """Classify one image (a path or PIL image), or a list of them.

        Few images take the time of few, and so may differ in the last bits from what `logits` gives
        for them.

        Raises:
            Undecodable: a file is no readable image.
        """
        if isinstance(images, (list, tuple)):
            made = [self._pixels(image) for image in images]
            return self.predictions(self.logits(np.stack(made), fill=False)) if made else []
        made = [self._pixels(images)]  # type: ignore[arg-type]
        return self.predictions(self.logits(np.stack(made), fill=False))[0]

    def _pixels(self, image: Path | str | Image) -> np.ndarray:
        if isinstance(image, (str, Path)):
            return file_pixels(Path(image), self.preprocess)
        return pixels(upright_rgb(image), self.preprocess)

    def logits(
        self,
        made: np.ndarray,
        progress: Callable[[int], None] | None = None,
        *,
        rows: np.ndarray | None = None,
        fill: bool = True,
    ) -> Tensor:
        """Logits `[N, C]` on the CPU, float32, of N rows of pixels uint8 `[m, H, W, 3]`.

        With `fill` they are bit for bit those of validation, whatever images are asked for.

        Args:
            made: pixels, which need not all be in memory.
            progress: called with the number of images of each batch done.
            rows: which of them; None for all.
            fill: whether a small batch is filled up.
        """
        places = np.arange(len(made)) if rows is None else rows
        if not len(places):
            return torch.empty(0, len(self.classes))
        found = pixel_features(
            self.model.features,
            made,
            places,
            self.preprocess,
            self.device,
            progress or (lambda _: None),
            fill=fill,
        )
        return head_logits(self.model, found, fill=fill).cpu()

    def predictions(self, logits: Tensor) -> list[Prediction]:
        """From logits `[N, C]`.

        Raises:
            Diverged: one is not finite.
        """
        refuse_infinite(logits)
        rows = torch.softmax(logits.float(), 1).tolist()
        return [
            Prediction(
                self.classes[best := max(range(len(row)), key=row.__getitem__)],
                row[best],
                dict(zip(self.classes, row, strict=True)),
            )
            for row in rows
        ]


@torch.inference_mode()
def head_logits(model: Model, features: Tensor, *, fill: bool = True) -> Tensor:
    """Logits `[N, C]`, float32, of scaled features `[N, D]`.

    With `fill`, batches are all of one size, so that a row's logits are the same bits whatever rows
    are beside it: a validation figure is what prediction gives, of one image as of all.
    """
    was_training = model.head.training
    model.head.eval()
    with threads.suited(model.head):
        found = [_answered(model, batch, fill=fill) for batch in features.split(FEATURE_BATCH)]
    model.head.train(was_training)
    return torch.cat(found)


def _answered(model: Model, batch: Tensor, *, fill: bool) -> Tensor:
    """Logits `[b, C]` of scaled features `[b, D]`; with `fill`, in a batch of full size."""
    count = len(batch)
    if fill and count < FEATURE_BATCH:
        batch = batch[filled(np.arange(count), FEATURE_BATCH)]
    return model.answer(batch[:, None]).logits[:count].float()


def save_model(folder: Path, model: Model, card: dict[str, Any]) -> None:
    """Write `model.safetensors` and, last, `model.json` with its hash."""
    make_folder(folder)
    tensors = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in model.state_dict().items()
    }
    data = save(tensors)
    write_bytes(folder / WEIGHTS, data)
    said = {**card, "sha256": hashlib.sha256(data).hexdigest()}
    write_json(folder / CARD, {**said, "card_sha256": own_hash(said)})


def load_model(folder: Path, card: Card, makers: tuple[Maker, Maker]) -> Model:
    """The model of a folder, built from installed plugins and filled from its file.

    Raises:
        BadWeights: the file is damaged, or not of this model.
    """
    try:
        data = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        message = f"{folder / WEIGHTS} cannot be read: {error.strerror}."
        raise BadWeights(message, hint="Restore it from a copy of the run.") from error
    if hashlib.sha256(data).hexdigest() != card.sha256:
        message = f"{folder / WEIGHTS} is damaged: its SHA-256 is not the one in {CARD}."
        raise BadWeights(message, hint="Restore it from a copy of the run.")
    model = build_model(makers, None, card.context, seed=0)
    try:
        model.load_state_dict(load(data))
    except (SafetensorError, RuntimeError) as error:
        words = str(error).split("\n")[-1].strip()
        message = f"{folder / WEIGHTS} does not fit {card.spec} as installed here: {words}"
        raise BadWeights(
            message, hint="Install the plugin versions named in model.json."
        ) from error
    model.folds = card.folded
    return model
