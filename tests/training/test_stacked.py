from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.training.stacked import Both, losses

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES, WIDTH, CLASSES, HEADS = 7, 5, 3, 4


class Head(nn.Module):
    """Whatever layers, with a frozen one before them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(WIDTH, WIDTH).requires_grad_(requires_grad=False)
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        return zoo.HeadOutput(self.layers(self.before(features)).mean(1))


class Loss(nn.Module):
    def forward(self, output: zoo.HeadOutput, batch: zoo.Batch) -> dict[str, Tensor]:
        parts = nn.functional.cross_entropy(output.logits, batch.target, reduction="none")
        return {"ce": parts.mean() if batch.weight is None else (parts * batch.weight).mean()}


HEADS_OF = {
    "one layer": lambda: Head(nn.Linear(WIDTH, CLASSES)),
    "without a bias": lambda: Head(nn.Linear(WIDTH, CLASSES, bias=False)),
    "two layers": lambda: Head(nn.Linear(WIDTH, 6), nn.ReLU(), nn.Linear(6, CLASSES)),
}


@pytest.mark.parametrize("name", HEADS_OF)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_gradients_are_those_of_each_head_alone(name: str, *, weighted: bool) -> None:
    make: Callable[[], nn.Module] = HEADS_OF[name]
    torch.manual_seed(0)
    both = Both(make(), Loss())
    features, target = torch.randn(IMAGES, 2, WIDTH), torch.arange(IMAGES) % CLASSES
    weight = torch.rand(HEADS, IMAGES) if weighted else None
    trained = {
        key: torch.randn(HEADS, *one.shape).requires_grad_()
        for key, one in both.named_parameters()
        if one.requires_grad
    }
    batch = zoo.Batch(target=target, samples=torch.arange(IMAGES), epoch=0)
    found = losses(both, trained, {}, features, batch, weight)
    gradients = torch.autograd.grad(found.sum(), [*trained.values()])
    for place in range(HEADS):
        alone = {key: one[place].detach().requires_grad_() for key, one in trained.items()}
        told = zoo.Batch(
            target=target,
            samples=batch.samples,
            epoch=0,
            weight=None if weight is None else weight[place],
        )
        loss = torch.func.functional_call(both, alone, (features, told))
        torch.testing.assert_close(found[place], loss)
        for one, other in zip(gradients, torch.autograd.grad(loss, [*alone.values()]), strict=True):
            torch.testing.assert_close(one[place], other)


def test_heads_share_one_product_forwards_and_backwards() -> None:
    both = Both(Head(nn.Linear(WIDTH, CLASSES)), Loss())
    trained = {
        key: one.detach().expand(HEADS, *one.shape).clone().requires_grad_()
        for key, one in both.named_parameters()
        if "layers" in key
    }
    batch = zoo.Batch(
        target=torch.zeros(IMAGES, dtype=torch.int64), samples=torch.arange(IMAGES), epoch=0
    )
    with torch.profiler.profile() as seen:
        found = losses(both, trained, {}, torch.randn(IMAGES, 1, WIDTH), batch)
        torch.autograd.grad(found.sum(), [*trained.values()])
    counts = {one.key: one.count for one in seen.key_averages()}
    assert counts.get("aten::bmm", 0) == 0
    assert counts.get("aten::mm", 0) + counts.get("aten::addmm", 0) <= 3
