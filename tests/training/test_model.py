from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.errors import PluginFault
from zoo.training.assemble import Maker
from zoo.training.model import Model, fingerprint, freeze, thaw

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.drop(self.norm(self.conv(images))).mean((2, 3))


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        found = self.layer(features)
        return zoo.HeadOutput(found.mean(1), found)


def nobody(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model(Backbone(), Head(), (nobody, nobody))


def step(model: Model) -> None:
    """One step of plain gradient descent on whatever asks for it, in train mode."""
    model.train()
    model(torch.randn(6, 3, 8, 8), views=2).logits.square().sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)


def test_frozen_means_every_parameter_and_buffer_through_every_train(model: Model) -> None:
    freeze(model)
    before, head = fingerprint(model.backbone), fingerprint(model.head)
    for _ in range(2):
        step(model)
    assert fingerprint(model.backbone) == before
    assert fingerprint(model.head) != head
    assert model.head.training
    assert not any(module.training for module in model.backbone.modules())


def test_thawed_means_all_of_them(model: Model) -> None:
    freeze(model)
    thaw(model, norms_still=False)
    before = {name: one.clone() for name, one in model.backbone.state_dict().items()}
    step(model)
    changed = {n for n, one in model.backbone.state_dict().items() if not one.equal(before[n])}
    # A batch norm behind it makes a convolution's bias stand still, up to rounding.
    assert set(before) - {"conv.bias"} <= changed


def test_still_norms_keep_their_statistics_and_train_their_weights(model: Model) -> None:
    thaw(model, norms_still=True)
    before = {name: one.clone() for name, one in model.backbone.state_dict().items()}
    step(model)
    after = model.backbone.state_dict()
    for name in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked"):
        assert after[name].equal(before[name])
    assert not after["norm.weight"].equal(before["norm.weight"])
    assert model.backbone.get_submodule("drop").training


def test_a_fingerprint_sees_one_bit_of_a_buffer(model: Model) -> None:
    before = fingerprint(model)
    assert fingerprint(model) == before
    model.backbone.get_buffer("norm.running_var")[0] += 2.0**-20
    assert fingerprint(model) != before


def test_a_fingerprint_sees_a_buffer_that_no_file_keeps(model: Model) -> None:
    model.backbone.register_buffer("table", torch.zeros(3), persistent=False)
    before = fingerprint(model)
    model.backbone.get_buffer("table")[1] = 1
    assert fingerprint(model) != before


def test_a_fingerprint_takes_any_type_and_an_empty_module() -> None:
    module = nn.Module()
    empty = fingerprint(module)
    module.register_buffer("brief", torch.ones(3, dtype=torch.bfloat16))
    module.register_buffer("one", torch.ones(()))
    module.register_buffer("none", torch.empty(0))
    assert fingerprint(module) != empty


def test_views_of_a_sample_lie_side_by_side(model: Model) -> None:
    images = torch.randn(6, 3, 8, 8)
    model.eval()
    features = model.features(images, views=3)
    assert features.shape == (2, 3, 4)
    torch.testing.assert_close(features[1, 0], model.features(images[3:4])[0, 0])


def test_the_feature_scale_multiplies_features(model: Model) -> None:
    model.eval()
    images = torch.randn(2, 3, 8, 8)
    plain = model.features(images)
    model.feature_scale.fill_(4.0)
    assert torch.equal(model.features(images), 4 * plain)
    assert "feature_scale" in model.state_dict()


@pytest.mark.parametrize("part", ["backbone", "head"])
def test_what_a_part_raises_while_training_is_its_plugins_fault(model: Model, part: str) -> None:
    class Raising(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            raise IndexError("nowhere")

    blame = [Maker(f"acme/{name} (zoo-acme 1)", nobody, {}).blamed for name in ("backbone", "head")]
    parts = {"backbone": model.backbone, "head": model.head, part: Raising()}
    broken = Model(parts["backbone"], parts["head"], (blame[0], blame[1]))
    with pytest.raises(PluginFault, match=rf"acme/{part} \(zoo-acme 1\) fails on .*: IndexError"):
        broken(torch.randn(2, 3, 8, 8))
