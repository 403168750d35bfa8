"""Every first-party head under every first-party loss: what learns, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
import zoo_heads
import zoo_losses
from torch import Tensor, nn

import zoo

if TYPE_CHECKING:
    from zoo.components import Component, Value

HEADS = {component.name: component for component in zoo_heads.zoo_heads()}
LOSSES = {component.name: component for component in zoo_losses.zoo_losses()}
VARIANTS = ["ce", *map(str, LOSSES["cekl"].options["target"].choices)]
every_pair = pytest.mark.parametrize(("head", "loss"), list(product(HEADS, VARIANTS)))
FEATURES, CLASSES, SAMPLES = 8, 3, 60


def build(component: Component, context: object, **options: Value) -> nn.Module:
    module, _, attribute = component.target.partition(":")
    built = getattr(import_module(module), attribute)(context, **options)
    assert isinstance(built, nn.Module)
    return built


@dataclass(frozen=True)
class Pair:
    """A head and a loss (`ce`, or a target of `cekl`) that fit."""

    head: nn.Module
    loss: nn.Module

    def total(self, features: Tensor, batch: zoo.Batch) -> Tensor:
        return torch.stack(list(self.loss(self.head(features), batch).values())).sum()


def pair(head: str, loss: str, **options: Value) -> Pair:
    torch.manual_seed(0)
    if loss != "ce":
        options["target"] = loss
    counts = (SAMPLES // CLASSES,) * CLASSES
    return Pair(
        build(HEADS[head], zoo.HeadContext(features=FEATURES, classes=CLASSES, views=2)),
        build(
            LOSSES["ce" if loss == "ce" else "cekl"],
            zoo.LossContext(classes=CLASSES, class_counts=counts, embedding=0, steps=1),
            **options,
        ),
    )


def clusters(samples: int = SAMPLES) -> tuple[Tensor, zoo.Batch]:
    """Two noisy views of points around one corner per class, and a teacher who knows the class."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(samples) % CLASSES
    corners = 2 * nn.functional.one_hot(target, FEATURES).float()
    features = corners[:, None] + 0.5 * torch.randn(samples, 2, FEATURES, generator=generator)
    teacher = 6 * nn.functional.one_hot(target, CLASSES).float()
    extras = {"teacher_logits": teacher}
    return features, zoo.Batch(target, torch.arange(samples), 0, extras=extras)


@every_pair
def test_what_prediction_uses_is_learned(head: str, loss: str) -> None:
    both = pair(head, loss)
    features, batch = clusters()
    optimiser = torch.optim.Adam(both.head.parameters(), lr=0.02)
    for _ in range(30):
        optimiser.zero_grad()
        both.total(features, batch).backward()
        optimiser.step()
    predicted = both.head(features[:, :1]).logits.argmax(-1)  # one view, as in prediction
    assert (predicted == batch.target).float().mean() > 0.9


@every_pair
def test_every_layer_gets_a_gradient_but_a_classifier_that_the_loss_ignores(
    head: str, loss: str
) -> None:
    both = pair(head, loss)
    for parameter in both.head.parameters():
        nn.init.normal_(parameter)  # away from the zero start
    both.total(*clusters()).backward()
    gradients = {name: part.grad for name, part in both.head.named_parameters()}
    ignored = {name.partition(".")[0] for name, value in gradients.items() if value is None}
    assert ignored == ({"view_classifier"} if (head, loss) == ("contrastive", "ce") else set())
    reached = [value for value in gradients.values() if value is not None]
    assert all(torch.isfinite(value).all() and value.any() for value in reached)


@every_pair
def test_bf16_autocast_gives_finite_gradients_even_to_one_sample(head: str, loss: str) -> None:
    both = pair(head, loss)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = both.total(*clusters(samples=1))
    total.backward()
    gradients = [part.grad for part in both.head.parameters() if part.grad is not None]
    assert gradients
    assert all(torch.isfinite(value).all() for value in gradients)


def test_without_a_divergence_no_gradient_reaches_the_joint_classifier() -> None:
    """By which the plan can tell that this trio must be refused."""
    both = pair("contrastive", "smooth", kl_weight=0.0)
    both.total(*clusters()).backward()
    joint = both.head.get_submodule("joint_classifier")
    assert all(part.grad is None for part in joint.parameters())
