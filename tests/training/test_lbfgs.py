from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.training.lbfgs import Memory, minimise

CURVATURES = torch.tensor([[1.0, 10.0, 100.0], [3.0, 3.0, 3.0], [0.01, 1.0, 5.0]])
CENTRES = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.5, 0.5], [-4.0, 0.0, 2.0]])


class Bowls:
    """Three problems `Σ log cosh(c (x - m)) / c`, less steep than they look; counts who asks."""

    def __init__(self, extra: Tensor | None = None) -> None:
        self.asked = torch.zeros(3, dtype=torch.int64)
        self.extra = torch.zeros(3) if extra is None else extra

    def __call__(self, numbers: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        self.asked[which] += 1
        bent, centres = CURVATURES[which], CENTRES[which]
        away = (bent * (numbers - centres)).double()
        values = (torch.log(torch.cosh(away)) / bent).sum(1)
        values += (self.extra / 2 * numbers.double().square()).sum(1)
        return values, (torch.tanh(away)).float() + self.extra * numbers


def solved(objective: Bowls, start: Tensor, memory: Memory) -> Tensor:
    return minimise(objective, start, memory, tolerance=1e-4, most=200)


def test_each_problem_comes_to_its_own_optimum() -> None:
    found = solved(Bowls(), torch.zeros(3, 3), Memory(5))
    assert found.numpy() == pytest.approx(CENTRES.numpy(), abs=0.02)


def test_a_problem_is_solved_the_same_whatever_is_beside_it() -> None:
    both = solved(Bowls(), torch.zeros(3, 3), Memory(5))

    def first(numbers: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        return Bowls()(numbers, which)

    alone = minimise(first, torch.zeros(1, 3), Memory(5), tolerance=1e-4, most=200)
    assert both[:1].numpy() == pytest.approx(alone.numpy(), abs=1e-5)


def test_whoever_has_arrived_is_not_evaluated_any_more() -> None:
    bowls = Bowls()
    start = torch.zeros(3, 3)
    start[1] = CENTRES[1]
    solved(bowls, start, Memory(5))
    assert bowls.asked[1] == 1
    assert bowls.asked[0] > 3


def test_what_is_known_of_a_problem_helps_with_the_next_one() -> None:
    memory, extra = Memory(8), torch.full((3,), 0.02)
    here = solved(Bowls(), torch.zeros(3, 3), memory)
    memory.bend(extra)
    warm, cold = Bowls(extra), Bowls(extra)
    one = solved(warm, here, memory)
    other = solved(cold, here, Memory(8))
    assert one.numpy() == pytest.approx(other.numpy(), abs=0.02)
    assert warm.asked.sum() < cold.asked.sum()


def test_a_next_problem_is_solved_though_the_first_one_began_at_its_optimum() -> None:
    memory, extra = Memory(8), torch.full((3,), 0.02)
    here = solved(Bowls(), CENTRES, memory)
    assert here.equal(CENTRES)
    memory.bend(extra)
    one, other = (solved(Bowls(extra), here, known) for known in (memory, Memory(8)))
    assert one.equal(other)
    assert not one.equal(CENTRES)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_directions_are_those_of_the_usual_two_loops(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    memory, pairs = Memory(size), list[tuple[Tensor, Tensor]]()
    curvature = torch.rand(2, 6, generator=generator) + 0.5
    for turn in range(5):
        steps = torch.randn(2, 6, generator=generator)
        steps[1] *= turn != 3  # the second took no step here
        memory.add(steps, curvature * steps)
        pairs.append((steps, curvature * steps))
    gradients = torch.randn(2, 6, generator=generator)
    found = memory.directions(gradients)
    for row in range(2):
        known = [(s[row], y[row]) for s, y in pairs[-size:] if s[row].any()]
        assert found[row].numpy() == pytest.approx(
            (-two_loops(gradients[row], known)).numpy(), rel=1e-3, abs=1e-5
        )


def two_loops(wanted: Tensor, known: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Nocedal and Wright, algorithm 7.4."""
    wanted, shares = wanted.clone(), list[Tensor]()
    for step, change in reversed(known):
        shares.append(step @ wanted / (step @ change))
        wanted -= shares[-1] * change
    step, change = known[-1]
    wanted *= step @ change / (change @ change)
    for (step, change), share in zip(known, reversed(shares), strict=True):
        wanted += step * (share - change @ wanted / (step @ change))
    return wanted
