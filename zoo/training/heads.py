"""Many heads in one pass: the same head and loss under several settings, trained side by side.

Their parameters are stacked, `[S, ...]` for S settings, and one vectorised forward pass (`vmap`)
gives S losses; they see the same batches, and the same dropout. Each is updated as
`torch.optim.AdamW` would update it alone, with its own rate, decay and clipping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from zoo.data import draws
from zoo.training import optimise
from zoo.training.gradients import batch_of
from zoo.training.order import batches, epoch_order
from zoo.training.stacked import Both, losses, made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zoo.training.fit import Task
    from zoo.training.optimise import Recipe

#: numbers that are trained at the same time, at most: with their gradients, their averages and what
#: an update makes of them that is seven times as many in float32, 1 GB
NUMBERS = 2**25
#: numbers that a pass makes of a batch, such as logits: with their gradients, so many take the room
#: of one that is trained
_MADE = 4
#: those of `torch.optim.AdamW`
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


def train_together(
    task: Task, recipes: Sequence[Recipe], pause: Callable[[], None]
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Each recipe's place and the head's state after training with it; the head stays as it is.

    Only the heads of one pass are held at a time, and what it makes of a batch: 1 GB, or one head.

    Args:
        task: a probe's; its own recipe says how many steps there are.
        recipes: differing in rates and decay alone.
        pause: called between steps; may raise to stop.

    Raises:
        Exception: whatever code of a head or a loss raises that cannot be vectorised.
    """
    at_once = max(1, NUMBERS // max(1, _numbers(task, recipes[0])))
    for start in range(0, len(recipes), at_once):
        yield from enumerate(_train(task, recipes[start : start + at_once], pause), start)


def _numbers(task: Task, recipe: Recipe) -> int:
    """What a head takes while it is trained, as if all of it were trained numbers."""
    both = Both(task.learner.trained, task.learner.loss).train()
    stack = _Stack.of(both, task, [recipe])
    task.position.epoch = 0
    samples = np.arange(min(task.phase.batch_size, len(task.targets)))
    with task.learner.device.autocast():
        inputs, batch = task.feed.batch(0, samples), batch_of(task, samples)
        others = made(both, stack.trained, stack.buffers, inputs, batch)
    return sum(one.numel() for one in stack.trained.values()) + others // _MADE


def _train(
    task: Task, recipes: Sequence[Recipe], pause: Callable[[], None]
) -> list[dict[str, Tensor]]:
    phase, device = task.phase, task.learner.device
    both = Both(task.learner.trained, task.learner.loss).train()
    stack = _Stack.of(both, task, recipes)

    step = 0
    for epoch in range(phase.epochs):
        task.position.epoch = epoch  # what the loss is told
        order = epoch_order(phase.seed, phase.name, epoch, task.targets, balanced=phase.balanced)
        for samples in batches(order, phase.batch_size):
            pause()
            device.seed(int(draws.bits(phase.seed, f"{phase.name}/torch", step)) >> 1)
            with device.autocast():
                inputs, batch = task.feed.batch(epoch, samples), batch_of(task, samples)
                total = losses(both, stack.trained, stack.buffers, inputs, batch).sum()
            stack.update(torch.autograd.grad(total, [*stack.trained.values()]), step)
            step += 1
    return stack.heads()


@dataclass(slots=True)
class _Stack:
    """The stacked tensors of S heads and losses, and what AdamW knows of them.

    Args:
        trained: parameters `[S, ...]` by name.
        buffers: likewise.
        rates: peak learning rates `[S]`.
        decays: weight decays `[S]`.
        recipe: what all have in common.
        means: running means of the gradients, in the order of `trained`.
        squares: running means of their squares.
    """

    trained: dict[str, Tensor]
    buffers: dict[str, Tensor]
    rates: Tensor
    decays: Tensor
    recipe: Recipe
    means: list[Tensor]
    squares: list[Tensor]

    @staticmethod
    def of(both: Both, task: Task, recipes: Sequence[Recipe]) -> _Stack:
        """S copies of what the task would train."""
        count, device = len(recipes), task.learner.device.torch

        def stacked(tensor: Tensor) -> Tensor:
            return tensor.detach().expand(count, *tensor.shape).clone()

        trained = {
            f"{part}.{name}": stacked(parameter).requires_grad_()
            for part, group in task.learner.groups.items()
            for name, parameter in group
        }
        return _Stack(
            trained,
            {name: stacked(buffer) for name, buffer in both.named_buffers()},
            torch.tensor([recipe.head_lr for recipe in recipes], device=device),
            torch.tensor([recipe.weight_decay for recipe in recipes], device=device),
            recipes[0],
            [torch.zeros_like(one) for one in trained.values()],
            [torch.zeros_like(one) for one in trained.values()],
        )

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor], step: int) -> None:
        """One step of AdamW (arXiv 1711.05101) for each setting, from gradients `[S, ...]`."""
        # As the vectorised pass leaves them in memory, each walk over them takes twice as long.
        gradients = [gradient.contiguous() for gradient in gradients]
        rates = self.rates * optimise.rate(step, self.recipe)
        first, second = _BETAS
        scale = self._clipping(gradients)
        corrected = (1 - second ** (step + 1)) ** 0.5
        for parameter, gradient, mean, square in zip(
            self.trained.values(), gradients, self.means, self.squares, strict=True
        ):
            if scale is not None:
                gradient.mul_(_along(scale, gradient))
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            if parameter.ndim > 2:  # noqa: PLR2004 - a matrix, stacked; vectors have no decay
                parameter.mul_(_along(1 - rates * self.decays, parameter))
            size = square.sqrt().div_(corrected).add_(_EPSILON)
            moved = torch.div(mean, size, out=size)
            parameter.sub_(moved.mul_(_along(rates / (1 - first ** (step + 1)), moved)))

    def _clipping(self, gradients: Sequence[Tensor]) -> Tensor | None:
        """What each setting's gradient is multiplied by, `[S]`; None for no limit."""
        if not self.recipe.clip:
            return None
        norms = torch.stack([torch.linalg.vector_norm(one.flatten(1), dim=1) for one in gradients])
        return (self.recipe.clip / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1)

    def heads(self) -> list[dict[str, Tensor]]:
        """Each setting's tensors of the head by name, less those that are not trained."""
        tensors = {**self.trained, **self.buffers}
        return [
            {
                name.removeprefix("head."): tensor[place].detach().clone()
                for name, tensor in tensors.items()
                if name.startswith("head.")
            }
            for place in range(len(self.rates))
        ]


def _along(values: Tensor, like: Tensor) -> Tensor:
    """`[S]` as `[S, 1, ...]`, to be multiplied with `like`."""
    return values.view(-1, *[1] * (like.ndim - 1))
