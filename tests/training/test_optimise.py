from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from zoo.training.optimise import Recipe, build, rate, set_rate

RECIPE = Recipe(
    optimizer="adamw",
    lr=0.1,
    head_lr=1.0,
    weight_decay=0.05,
    momentum=0.9,
    warmup=0.1,
    steps=100,
    clip=1.0,
)


def test_the_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    rates = [rate(step, RECIPE) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)  # half way down
    assert rates[99] == pytest.approx(0.5 * (1 + torch.pi * 0) - 0.5, abs=4e-4)


@given(st.integers(1, 20_000), st.floats(0, 0.5))
def test_the_rate_stays_a_share_with_one_peak(steps: int, warmup: float) -> None:
    recipe = replace(RECIPE, steps=steps, warmup=warmup)
    sampled = sorted({*range(min(steps, 50)), *range(0, steps, max(1, steps // 50))})
    rates = [rate(step, recipe) for step in sampled]
    assert all(0 < one <= 1 for one in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def modules() -> dict[str, list[tuple[str, nn.Parameter]]]:
    backbone = nn.Sequential(
        *(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(9))
    )
    return {
        "head": [*nn.Linear(3, 2).named_parameters()],
        "loss": [("scale", nn.Parameter(torch.ones(())))],
        "backbone": [*backbone.named_parameters()],
    }


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_few_groups_hold_every_parameter_once(kind: type[torch.optim.Optimizer]) -> None:
    parts = modules()
    recipe = replace(RECIPE, optimizer="sgd" if kind is torch.optim.SGD else "adamw")
    optimizer = build(parts, recipe)
    assert isinstance(optimizer, kind)
    groups = optimizer.param_groups
    assert len(groups) == 4
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(one) for named in parts.values() for _, one in named)


def test_matrices_decay_and_vectors_do_not() -> None:
    for group in build(modules(), RECIPE).param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0)


def test_a_part_with_nothing_to_train_makes_no_group() -> None:
    parts = modules()
    parts["loss"].clear()
    del parts["backbone"]
    assert len(build(parts, RECIPE).param_groups) == 2


def test_every_group_follows_its_own_peak() -> None:
    optimizer = build(modules(), RECIPE)
    assert set_rate(optimizer, 10, RECIPE) == 1.0
    assert {group["lr"] for group in optimizer.param_groups} == {0.1, 1.0}
    assert set_rate(optimizer, 0, RECIPE) == pytest.approx(1 / 11)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1 * (1 / 11), 1 / 11}


def test_plain_sgd_has_no_momentum_to_look_ahead_with() -> None:
    group = build(modules(), replace(RECIPE, optimizer="sgd", momentum=0.0)).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.0, False)
