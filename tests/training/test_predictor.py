from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.training.device import choose
from zoo.training.feeds import FEATURE_BATCH
from zoo.training.model import Model
from zoo.training.predictor import Predictor, head_logits

WIDTH, CLASSES, SIDE = 192, 33, 8
#: fewer than a batch, a batch less one, one more, and more than two
SOME = (1, 2, FEATURE_BATCH - 1, FEATURE_BATCH + 1)
ALL = 2 * FEATURE_BATCH + 5


def nobody(_: str) -> AbstractContextManager[None]:
    return nullcontext()


class Head(nn.Module):
    """A product whose kernel is chosen by the size of the batch; it notes the sizes."""

    def __init__(self, wide: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, WIDTH * wide), nn.ReLU(), nn.Linear(WIDTH * wide, CLASSES)
        )
        self.seen: list[int] = []

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        self.seen.append(len(features))
        return zoo.HeadOutput(self.layers(features[:, 0]))


def model(wide: int = 1) -> Model:
    torch.manual_seed(0)
    return Model(nn.Flatten(), Head(wide), (nobody, nobody)).eval()


@pytest.mark.parametrize("wide", [1, 6])  # on one thread, and on all
@pytest.mark.parametrize("count", SOME)
def test_a_rows_logits_are_the_same_bits_whatever_rows_are_beside_it(count: int, wide: int) -> None:
    asked, features = model(wide), torch.randn(ALL, WIDTH)
    together = head_logits(asked, features)
    for first in (0, ALL - count):
        some = slice(first, first + count)
        assert torch.equal(head_logits(asked, features[some]), together[some])


@pytest.mark.parametrize("count", SOME)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_is_predicted_in_the_same_bits_alone_and_among_others(
    count: int, precision: str
) -> None:
    pixels = torch.randint(0, 256, (ALL, SIDE, SIDE, 3), dtype=torch.uint8).numpy()
    preprocess = zoo.Preprocess(size=(SIDE, SIDE), resize=(SIDE, SIDE))
    asked = Predictor(
        model(),
        tuple(map(str, range(CLASSES))),
        preprocess,
        choose("cpu", precision, "off", layout=""),
        "a+b+c",
    )
    together = asked.logits(pixels)
    assert torch.equal(asked.logits(pixels[:count]), together[:count])
    assert torch.equal(asked.logits(pixels[-count:]), together[-count:])
    rows = np.arange(ALL)[::-1][:count]
    assert torch.equal(asked.logits(pixels, rows=rows), together[rows.copy()])


def test_a_head_gets_batches_of_one_size_or_none_that_nobody_asked_for() -> None:
    asked = model()
    assert isinstance(asked.head, Head)
    assert head_logits(asked, torch.randn(FEATURE_BATCH + 1, WIDTH)).shape == (33, CLASSES)
    assert asked.head.seen == [FEATURE_BATCH] * 2
    asked.head.seen.clear()
    assert head_logits(asked, torch.randn(3, WIDTH), fill=False).shape == (3, CLASSES)
    assert head_logits(asked, torch.randn(0, WIDTH)).shape == (0, CLASSES)
    assert asked.head.seen == [3, 0]
