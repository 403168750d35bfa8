"""L-BFGS for several smooth convex problems side by side, each with its own step lengths and end.

The directions are those of Nocedal and Wright, "Numerical Optimization" (2006), algorithm 7.4; a
step is halved, or cut by quadratic interpolation, until the objective falls enough (their 3.4).
Where that is so a convex objective needs no second condition: its curvature along a step is never
negative. Shapes: S problems of P numbers each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    #: numbers `[s, P]` and which of the S problems they belong to `[s]` → values `[s]` in float64
    #: and gradients `[s, P]`
    Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

#: share of the fall that the slope promises which a step must keep
_ARMIJO = 1e-4
#: what float32 may raise an objective by where it does not rise, as a share of it
_ROUNDING = 1e-6
#: a step is cut so often at most: to less than a millionth
_CUTS = 20


class Memory:
    """The last steps of S problems, and how their gradients changed along each.

    Args:
        size: of how many steps.
    """

    def __init__(self, size: int) -> None:
        """Nothing is known."""
        self._size = size
        #: places of what is remembered, the oldest first
        self._order: list[int] = []
        #: `[S, size, P]`, and products of all steps with all changes, and of changes with changes,
        #: `[S, size, size]` in float64
        self._steps = self._changes = self._across = self._within = torch.empty(0)

    def add(self, steps: Tensor, changes: Tensor) -> None:
        """A step `[S, P]` and the change of the gradient along it; zeros for who took none."""
        if not self._order:
            shape = len(steps), self._size, steps.shape[1]
            self._steps, self._changes = steps.new_zeros(shape), steps.new_zeros(shape)
            self._multiply()
        full = len(self._order) == self._size
        place = self._order.pop(0) if full else len(self._order)
        self._order.append(place)
        self._steps[:, place], self._changes[:, place] = steps, changes
        pair = torch.stack([steps, changes], 2)  # [S, P, 2]
        self._across[:, place], self._within[:, place] = (self._changes @ pair).double().unbind(2)
        self._within[:, :, place] = self._within[:, place]
        self._across[:, :, place] = (self._steps @ pair[..., 1:])[..., 0].double()

    def bend(self, curvature: Tensor) -> None:
        """The objectives gain `½ Σ curvature · x²`, `[P]`, so their gradients change the more."""
        if not self._order:  # whoever began at the optimum took no step
            return
        self._changes.addcmul_(self._steps, curvature)
        self._multiply()

    def _multiply(self) -> None:
        self._across = (self._steps @ self._changes.mT).double()
        self._within = (self._changes @ self._changes.mT).double()

    def directions(self, gradients: Tensor) -> Tensor:
        """Where to go from gradients `[S, P]`; straight down for whom nothing is known.

        The inverse Hessian in its compact form (Byrd, Nocedal and Schnabel 1994, theorem 2.2): few
        products of matrices, whatever the size of the memory.
        """
        # Without any knowledge a step of length one in sum, as everyone begins.
        first = (1 / gradients.abs().sum(1)).clamp(max=1)
        if not self._order:
            return -gradients * first[:, None]
        filled, order = len(self._order), self._order
        steps, changes = self._steps[:, :filled], self._changes[:, :filled]
        across, within = (
            products[:, order][:, :, order] for products in (self._across, self._within)
        )  # [S, m, m]
        along = across.diagonal(dim1=1, dim2=2)  # [S, m]
        # Whoever took no step, or one that rounding ate, learns nothing from it.
        known = along > 0
        both = known[:, :, None] & known[:, None, :]
        upper = torch.where(both, across.triu(), 0) + torch.diag_embed((~known).double())
        within = torch.where(both, within, 0)
        rates = along / within.diagonal(dim1=1, dim2=2)
        newest = (known * torch.arange(1, known.shape[1] + 1, device=known.device)).argmax(1)
        scale = torch.where(known.any(1), rates.gather(1, newest[:, None])[:, 0], first.double())[
            :, None
        ]
        by_steps = (steps @ gradients[..., None])[:, order, 0].double() * known
        by_changes = (changes @ gradients[..., None])[:, order, 0].double() * known
        inner = torch.linalg.solve_triangular(upper, by_steps[..., None], upper=True)
        outer = along[..., None] * known[..., None] * inner + scale[..., None] * (
            within @ inner - by_changes[..., None]
        )
        outer = torch.linalg.solve_triangular(upper.mT, outer, upper=False)
        back = torch.empty_like(outer), torch.empty_like(inner)
        back[0][:, order], back[1][:, order] = outer, inner
        found = scale.to(gradients) * gradients
        found += (back[0].mT.to(gradients) @ steps)[:, 0]
        found -= scale.to(gradients) * (back[1].mT.to(gradients) @ changes)[:, 0]
        return -found


def minimise(
    objective: Objective, start: Tensor, memory: Memory, *, tolerance: float, most: int
) -> Tensor:
    """The optima `[S, P]`; whoever has reached its own takes no part in later evaluations.

    Args:
        objective: see `Objective`; its values may be infinite or not numbers away from the start.
        start: `[S, P]`.
        memory: of a similar problem, and afterwards of this one.
        tolerance: greatest entry of the gradient at an optimum.
        most: steps.
    """
    here = start.clone()
    values, gradients = objective(here, torch.arange(len(here), device=here.device))
    stuck = torch.zeros(len(here), dtype=torch.bool, device=here.device)
    for _ in range(most):
        moving = ((gradients.abs().amax(1) > tolerance) & ~stuck).nonzero()[:, 0]
        if not len(moving):
            break
        before, slopes_before = here.clone(), gradients.clone()
        stuck[moving] = ~_step(
            objective, moving, memory.directions(gradients)[moving], here, values, gradients
        )
        memory.add(here - before, gradients - slopes_before)
    return here


def _step(
    objective: Objective,
    moving: Tensor,
    directions: Tensor,
    here: Tensor,
    values: Tensor,
    gradients: Tensor,
) -> Tensor:
    """Take a step with the problems `moving` `[m]`; says which of them found a lower place `[m]`.

    `here`, `values` and `gradients` of all S problems are brought up to date.
    """
    slopes = _dot(directions, gradients[moving])[:, 0].double()
    uphill = slopes >= 0  # from old knowledge only
    directions[uphill] = -gradients[moving[uphill]]
    slopes[uphill] = -_dot(directions, directions)[uphill, 0].double()
    lengths, bounds = torch.ones_like(slopes), values[moving]
    pending = torch.arange(len(moving), device=moving.device)
    for _ in range(_CUTS):
        rows = moving[pending]
        tried = here[rows] + lengths[pending, None].to(here) * directions[pending]
        found, slopes_there = objective(tried, rows)
        length, slope, bound = lengths[pending], slopes[pending], bounds[pending]
        allowed = bound + _ARMIJO * length * slope + _ROUNDING * bound.abs()
        lower = found <= allowed
        done = rows[lower]
        here[done], values[done], gradients[done] = tried[lower], found[lower], slopes_there[lower]
        cut = -slope * length / (2 * (found - bound - slope * length)) * length
        cut = torch.where(cut.isfinite(), cut, 0).clamp(length / 10, length / 2)
        lengths[pending] = cut
        pending = pending[~lower]
        if not len(pending):
            break
    whole = torch.ones(len(moving), dtype=torch.bool, device=moving.device)
    whole[pending] = False
    return whole


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Of `[S, P]` and `[S, P]`: `[S, 1]`."""
    return torch.linalg.vecdot(one, other)[:, None]
