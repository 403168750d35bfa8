from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import zoo
from tests.training.test_solve import CPU, ce
from zoo.training import fit, heads, optimise
from zoo.training.assemble import Maker
from zoo.training.feeds import FeatureFeed

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, CLASSES, SETTINGS = 4, 2, 12


class Head(nn.Module):
    """One hidden layer, seen after a BatchNorm whose statistics move."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(WIDTH, affine=False)
        self.layers = nn.Sequential(nn.Linear(WIDTH, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES))

    def forward(self, features: Tensor) -> zoo.HeadOutput:
        return zoo.HeadOutput(self.layers(self.norm(features[:, 0])))


def task(hidden: int, batch: int) -> fit.Task:
    torch.manual_seed(0)
    head, loss = Head(hidden), ce()
    recipe = optimise.Recipe(
        optimizer="adamw",
        lr=1e-2,
        head_lr=1e-2,
        weight_decay=0.1,
        momentum=0.0,
        warmup=0.0,
        steps=4,
        clip=1.0,
    )
    groups = {"head": list(head.named_parameters()), "loss": list(loss.named_parameters())}
    return fit.Task(
        phase=fit.Phase(name="probe", epochs=2, batch_size=batch, recipe=recipe, seed=0),
        learner=fit.Learner(
            trained=head,
            forward=head,
            loss=loss,
            blame=Maker("losses/test (zoo-losses 1.0)", lambda: loss, {}),
            groups=groups,
            device=CPU,
        ),
        feed=FeatureFeed(torch.rand(64, 1, WIDTH), 1, 0),
        targets=np.arange(64) % CLASSES,
        weights=None,
        extras={},
        validate=lambda: None,
        optimizer=optimise.build(groups, recipe),
    )


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many heads were trained in each pass."""

    def counted(it: fit.Task, recipes: Sequence[Any], *rest: Any) -> Any:  # noqa: ANN401
        made.append(len(recipes))
        return original(it, recipes, *rest)

    made: list[int] = []
    original = heads._train  # noqa: SLF001 - watched
    monkeypatch.setattr(heads, "_train", counted)
    return made


def train(it: fit.Task) -> list[dict[str, Tensor]]:
    recipe = it.phase.recipe
    recipes = [replace(recipe, head_lr=10.0 ** -(1 + place / 4)) for place in range(SETTINGS)]
    return [state for _, state in heads.train_together(it, recipes, lambda: None)]


def test_what_a_pass_makes_of_a_batch_bounds_how_many_heads_it_has(
    monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    hidden = 50
    numbers = hidden * (WIDTH + 1) + CLASSES * (hidden + 1)
    monkeypatch.setattr(heads, "NUMBERS", SETTINGS * numbers * 2)
    found = {}
    for batch in (1 + 1, 64):
        passes.clear()
        train(task(hidden, batch))
        found[batch] = list(passes)
    assert found[2] == [SETTINGS]
    # The hidden layer before and after its activation, for each image, at least.
    most = SETTINGS * numbers * 2 // (numbers + 64 * 2 * hidden // 4)
    assert 1 <= max(found[64]) <= most < SETTINGS
    assert sum(found[64]) == SETTINGS


def test_heads_in_small_passes_become_what_they_become_in_one(
    monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    whole = train(task(8, 32))
    monkeypatch.setattr(heads, "NUMBERS", 1)
    alone = train(task(8, 32))
    assert passes == [SETTINGS] + [1] * SETTINGS
    for one, other in zip(whole, alone, strict=True):
        for name, tensor in one.items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=1e-6)


def test_to_see_what_a_pass_makes_leaves_the_head_as_it_is() -> None:
    it = task(8, 32)
    before = {name: one.clone() for name, one in it.learner.trained.state_dict().items()}
    train(it)
    now = it.learner.trained.state_dict()
    assert all(torch.equal(one, now[name]) for name, one in before.items())
