"""Dropout: in law that of `torch.nn.Dropout`."""

from __future__ import annotations

import math

import pytest
import torch
from zoo_heads.dropout import Dropout


def dropped(probability: float, entries: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(probability).train()(entries)


@pytest.mark.parametrize("probability", [0.001, 0.2, 0.5, 0.9])
def test_entries_become_zero_as_often_as_said_wherever_they_stand(probability: float) -> None:
    rows, width = 20_000, 7  # 64 bits decide on four entries, which no row begins or ends with
    zero = dropped(probability, torch.ones(rows, width)) == 0
    shares = zero.double().mean(0)
    deviation = math.sqrt(probability * (1 - probability) / rows)
    assert shares.tolist() == pytest.approx([probability] * width, abs=5 * deviation)


def test_no_entry_says_what_becomes_of_its_neighbours() -> None:
    kept = (dropped(0.3, torch.ones(200_000)) != 0).double()
    kept -= kept.mean()
    for distance in range(1, 9):
        correlation = (kept[:-distance] * kept[distance:]).mean() / kept.square().mean()
        assert abs(correlation) < 5 / math.sqrt(len(kept)), distance


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.9])
def test_what_is_kept_makes_up_for_what_is_not(probability: float) -> None:
    entries = torch.randn(50, 3, 11, generator=torch.Generator().manual_seed(1))
    found = dropped(probability, entries)
    scale = 1 / (1 - round(probability * 2**16) / 2**16)
    assert torch.where(found != 0, entries * scale, 0).equal(found)
    assert scale == pytest.approx(1 / (1 - probability), rel=1e-4)


def test_gradients_pass_where_entries_do() -> None:
    entries = torch.full((9, 5), 2.0, requires_grad=True)
    found = dropped(0.4, entries)
    found.sum().backward()
    assert entries.grad is not None
    assert (entries.grad * 2).equal(found.detach())


def test_what_is_dropped_is_a_function_of_the_generators_seed() -> None:
    ones = torch.ones(1000)
    assert dropped(0.5, ones, seed=3).equal(dropped(0.5, ones, seed=3))
    assert not dropped(0.5, ones, seed=3).equal(dropped(0.5, ones, seed=4))


@pytest.mark.parametrize(("probability", "training"), [(0.0, True), (0.5, False)])
def test_without_dropout_nothing_changes_and_nothing_is_drawn(
    probability: float,
    *,
    training: bool,
) -> None:
    entries = torch.ones(10)
    before = torch.get_rng_state()
    assert Dropout(probability).train(training)(entries) is entries
    assert torch.get_rng_state().equal(before)


def test_the_type_of_numbers_stays() -> None:
    found = dropped(0.25, torch.ones(400, dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert sorted(set(found.tolist())) == [0.0, pytest.approx(4 / 3, rel=2**-8)]


def test_heads_that_are_trained_side_by_side_drop_the_same() -> None:
    layer = Dropout(0.5).train()
    torch.manual_seed(0)

    def scaled(factor: torch.Tensor) -> torch.Tensor:
        return layer(torch.ones(13) * factor)

    factors = torch.tensor([1.0, 2.0])
    several = torch.func.vmap(scaled, randomness="same")(factors)
    assert several.tolist() == [
        *(dropped(0.5, torch.ones(13)) * torch.tensor([[1.0], [2.0]])).tolist()
    ]
